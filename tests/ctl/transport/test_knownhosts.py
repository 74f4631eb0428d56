import base64
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from ctl.errors import CannotWriteError, UnauthorisedError
from ctl.transport.ssh.config import Hop, read
from ctl.transport.ssh.hostkeys import HostKey, Verdict
from ctl.transport.ssh.knownhosts import look_up, store, types_known
from tests.ctl.transport.test_hostkeys import ONE, OTHER, encoded


@pytest.fixture
def hop(tmp_path: Path) -> Hop:
    values = {
        "hostname": ["alpha.example"],
        "user": ["deploy"],
        "port": ["2222"],
        "userknownhostsfile": [f"{tmp_path}/new/known {tmp_path}/second"],
        "globalknownhostsfile": [f"{tmp_path}/global"],
    }
    return read("alpha", values)


def test_the_first_key_makes_a_private_file_in_a_private_folder(hop: Hop) -> None:
    file = store(hop, ONE)
    assert file.read_text() == f"[alpha.example]:2222 {encoded(ONE)}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert look_up(hop, ONE).verdict is Verdict.KNOWN
    assert types_known(hop) == ("ssh-ed25519",)


@pytest.mark.parametrize("before", ["# mine", "# mine\n", "malformed \xe9", "@revoked\n"])
def test_what_is_there_stays_as_it_is(before: str, hop: Hop) -> None:
    file = hop.user_known_hosts[0]
    file.parent.mkdir()
    file.write_bytes(before.encode("latin-1"))
    store(hop, ONE)
    start = before if before.endswith("\n") else f"{before}\n"
    line = f"[alpha.example]:2222 {encoded(ONE)}\n"
    assert file.read_bytes() == start.encode("latin-1") + line.encode()


def test_a_key_is_stored_once(hop: Hop) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: store(hop, ONE), range(16)))
    assert hop.user_known_hosts[0].read_text().count("\n") == 1


def test_names_are_hashed_if_wanted(hop: Hop) -> None:
    hop = replace(hop, hash_known_hosts=True)
    text = store(hop, ONE).read_text()
    assert text.startswith("|1|")
    assert "alpha" not in text
    assert look_up(hop, ONE).verdict is Verdict.KNOWN


def test_an_alias_goes_without_the_port(hop: Hop) -> None:
    hop = replace(hop, alias="first")
    assert store(hop, ONE).read_text() == f"first {encoded(ONE)}\n"
    assert look_up(hop, ONE).verdict is Verdict.KNOWN


def test_another_key_is_never_added_to_the_known_one(hop: Hop) -> None:
    file = store(hop, ONE)
    with pytest.raises(UnauthorisedError, match="CHANGED"):
        store(hop, OTHER)
    assert file.read_text().count("\n") == 1


def test_all_files_count(hop: Hop) -> None:
    hop.user_known_hosts[1].write_text(f"[alpha.example]:2222 {encoded(ONE)}\n")
    hop.global_known_hosts[0].write_text(f"@revoked * {encoded(OTHER)}\n")
    assert look_up(hop, ONE).verdict is Verdict.KNOWN
    assert look_up(hop, OTHER).verdict is Verdict.REVOKED


def test_a_file_that_cannot_be_read_could_revoke_a_key(hop: Hop) -> None:
    hop.user_known_hosts[1].mkdir()
    with pytest.raises(UnauthorisedError, match=r"cannot read .*second, which may revoke"):
        look_up(hop, ONE)


def test_a_file_that_cannot_be_written_is_named(hop: Hop) -> None:
    hop = replace(hop, user_known_hosts=(Path("/proc/nothing/known"),))
    with pytest.raises(CannotWriteError, match="/proc/nothing/known"):
        store(hop, ONE)


def test_without_a_file_nothing_is_stored(hop: Hop) -> None:
    with pytest.raises(CannotWriteError, match="UserKnownHostsFile is `none`"):
        store(replace(hop, user_known_hosts=()), ONE)


def test_a_fingerprint_is_that_of_ssh_keygen() -> None:
    # The key of GitHub, and the fingerprint that it publishes.
    blob = "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
    key = HostKey("ssh-ed25519", base64.b64decode(blob))
    assert key.fingerprint == "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"
