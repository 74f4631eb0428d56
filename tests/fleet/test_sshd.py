"""An sshd on loopback."""

import subprocess
from pathlib import Path

import pytest

from tests.engine.running import eventually
from tests.fleet import sshd
from tests.fleet.keys import Key
from tests.fleet.sshd import Sshd

pytestmark = pytest.mark.skipif(sshd.unavailable() is not None, reason=str(sshd.unavailable()))


def login(folder: Path, server: Sshd, key: Key) -> list[str | Path]:
    """The command of a client, but for what it is to run."""
    identity = folder / "identity"
    identity.touch(mode=0o600)
    identity.write_text(key.private)
    (folder / "known_hosts").write_text(server.known_hosts_line)
    options = (f"UserKnownHostsFile={folder}/known_hosts", "BatchMode=yes", "IdentitiesOnly=yes")
    words = [word for option in options for word in ("-o", option)]
    return ["ssh", "-F", "none", "-i", identity, "-p", str(server.port), *words, server.address]


def out_of(*words: str | Path, given: str = "") -> str:
    ran = subprocess.run(words, input=given, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_sessions_begin_at_its_home_and_arrive_unchanged(tmp_path: Path) -> None:
    key = Key.new()
    with Sshd(tmp_path / "one", authorized=[key.public]) as server:
        client = login(tmp_path, server, key)
        assert out_of(*client, "pwd; echo ~ $HOME").split() == [str(server.home)] * 3
        command = "printf '%s|' \"a  b\" 'it\"s' \\$x $'\\n' ü \"${SSH_ORIGINAL_COMMAND-none}\""
        assert out_of(*client, command) == 'a  b|it"s|$x|\n|ü|none|'
        assert "out" in out_of(*client, given="echo out\n")


def test_it_ends_alone_or_with_all_it_has_started(tmp_path: Path) -> None:
    key = Key.new()
    server = Sshd(tmp_path / "one", authorized=[key.public])
    server.start()
    try:
        client = login(tmp_path, server, key)
        out_of(*client, "setsid sleep 600 >/dev/null 2>&1 &")

        def asleep() -> list[int]:
            # For a moment it still is the shell that became it.
            return [pid for pid, words in server.processes() if words == ["sleep", "600"]]

        eventually(asleep, "the program")
        (pid,) = asleep()
        server.stop()
        assert [each for each, _ in server.processes()] == [pid]
        server.kill()
        assert not Path(f"/proc/{pid}").exists()
        server.start()
        assert out_of(*client, "pwd").strip() == str(server.home)
    finally:
        server.kill()


def test_its_options_come_first(tmp_path: Path) -> None:
    key = Key.new()
    options = ["MaxStartups 7", "PasswordAuthentication yes"]
    with Sshd(tmp_path / "one", authorized=[key.public], options=options) as server:
        program = sshd.program()
        assert program
        told = out_of(program, "-T", "-f", server.folder / "sshd_config").splitlines()
        assert "passwordauthentication yes" in told
        assert any(line.startswith("maxstartups 7:") for line in told)


def test_a_server_that_ends_at_once_tells_why(tmp_path: Path) -> None:
    server = Sshd(tmp_path / "one", options=["NoSuchOption yes"])
    with pytest.raises(AssertionError) as caught:
        server.start()
    assert "Bad configuration option: NoSuchOption" in caught.value.__notes__[0]
    assert not server.running
