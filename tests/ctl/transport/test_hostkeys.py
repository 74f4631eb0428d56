import base64
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ctl.transport.ssh.hostkeys import (
    Entry,
    HostKey,
    Verdict,
    judge,
    known_types,
    line_for,
    matches,
    parse,
)


def key(kind: str = "ssh-ed25519", secret: bytes = b"one") -> HostKey:
    return HostKey(kind, len(kind).to_bytes(4, "big") + kind.encode() + b"\0\0\0\x20" + secret)


ONE, OTHER, RSA = key(), key(secret=b"other"), key("ssh-rsa")


def encoded(each: HostKey) -> str:
    return f"{each.type} {base64.b64encode(each.blob).decode()}"


def entries(*lines: str) -> tuple[Entry, ...]:
    found, skipped = parse("\n".join(lines), "known")
    assert skipped == 0
    return found


@pytest.mark.parametrize(
    ("lines", "host", "port", "verdict"),
    [
        ([], "alpha", 22, Verdict.UNKNOWN),
        ([f"alpha {encoded(ONE)}"], "alpha", 22, Verdict.KNOWN),
        ([f"alpha {encoded(ONE)} a comment"], "ALPHA", 22, Verdict.KNOWN),
        ([f"beta,alpha {encoded(ONE)}"], "alpha", 22, Verdict.KNOWN),
        ([f"alpha {encoded(OTHER)}"], "alpha", 22, Verdict.CHANGED),
        ([f"alpha {encoded(OTHER)}", f"alpha {encoded(ONE)}"], "alpha", 22, Verdict.KNOWN),
        ([f"beta {encoded(OTHER)}"], "alpha", 22, Verdict.UNKNOWN),
        # Whoever sits in between could show another type.
        ([f"alpha {encoded(RSA)}"], "alpha", 22, Verdict.CHANGED),
        # One that nobody here could have verified.
        ([f"alpha {encoded(key('ssh-dss'))}"], "alpha", 22, Verdict.UNKNOWN),
        ([f"[alpha]:2222 {encoded(ONE)}"], "alpha", 2222, Verdict.KNOWN),
        ([f"[alpha]:2222 {encoded(ONE)}"], "alpha", 22, Verdict.UNKNOWN),
        ([f"[alpha]:2222 {encoded(OTHER)}"], "alpha", 2222, Verdict.CHANGED),
        ([f"alpha {encoded(ONE)}"], "alpha", 2222, Verdict.KNOWN),
        ([f"alpha {encoded(OTHER)}"], "alpha", 2222, Verdict.UNKNOWN),
        ([f"*.example,!db.example {encoded(ONE)}"], "web.example", 22, Verdict.KNOWN),
        ([f"*.example,!db.example {encoded(ONE)}"], "db.example", 22, Verdict.UNKNOWN),
        ([f"10.0.0.? {encoded(ONE)}"], "10.0.0.7", 22, Verdict.KNOWN),
        ([f"10.0.0.? {encoded(ONE)}"], "10.0.0.77", 22, Verdict.UNKNOWN),
        ([f"@revoked * {encoded(ONE)}"], "alpha", 22, Verdict.REVOKED),
        ([f"alpha {encoded(ONE)}", f"@revoked * {encoded(ONE)}"], "alpha", 22, Verdict.REVOKED),
        ([f"alpha {encoded(ONE)}", f"@revoked * {encoded(ONE)}"], "alpha", 99, Verdict.REVOKED),
        ([f"@revoked alpha {encoded(ONE)}"], "alpha", 2222, Verdict.REVOKED),
        ([f"@revoked * {encoded(OTHER)}"], "alpha", 22, Verdict.UNKNOWN),
        ([f"@cert-authority * {encoded(OTHER)}"], "alpha", 22, Verdict.BY_AUTHORITY),
        ([f"@cert-authority * {encoded(ONE)}"], "alpha", 22, Verdict.BY_AUTHORITY),
        (
            [f"@cert-authority * {encoded(ONE)}", f"@revoked * {encoded(ONE)}"],
            "alpha",
            22,
            Verdict.REVOKED,
        ),
        (
            [f"@cert-authority * {encoded(OTHER)}", f"alpha {encoded(ONE)}"],
            "alpha",
            22,
            Verdict.KNOWN,
        ),
        (
            [f"@cert-authority * {encoded(ONE)}", f"alpha {encoded(OTHER)}"],
            "alpha",
            22,
            Verdict.CHANGED,
        ),
    ],
)
def test_verdicts(lines: list[str], host: str, port: int, verdict: Verdict) -> None:
    assert judge(entries(*lines), host, port, ONE).verdict is verdict


def test_a_changed_key_is_compared_with_one_of_its_type() -> None:
    found = judge(entries(f"alpha {encoded(RSA)}", f"alpha {encoded(OTHER)}"), "alpha", 22, ONE)
    assert found.entry
    assert found.entry.key == OTHER
    assert found.entry.place == "known:2"


def test_known_types_are_those_of_plain_lines_for_the_host() -> None:
    known = entries(
        f"alpha {encoded(RSA)}",
        f"[alpha]:2222 {encoded(ONE)}",
        f"beta {encoded(key('ssh-dss'))}",
        f"@cert-authority * {encoded(key('ecdsa-sha2-nistp256'))}",
    )
    assert known_types(known, "alpha", 2222) == ("ssh-rsa", "ssh-ed25519")
    assert known_types(known, "alpha", 22) == ("ssh-rsa",)


@pytest.mark.parametrize(
    "line",
    [
        "alpha",
        "alpha ssh-ed25519",
        "alpha ssh-ed25519 !!!!",
        "alpha ssh-ed25519 AAAA",
        f"alpha ssh-rsa {encoded(ONE).split()[1]}",
        f"@somebody alpha {encoded(ONE)}",
        "@revoked",
        "alpha 2048 65537 123456789",
    ],
)
def test_a_malformed_line_is_counted_and_the_others_hold(line: str) -> None:
    found, skipped = parse(f"# one\n\n  \n{line}\nalpha {encoded(ONE)}\n", "known")
    assert skipped == 1
    assert [entry.place for entry in found] == ["known:5"]


@given(st.text())
@example("|1|a|b ssh-rsa x")
@example("@revoked\t")
def test_any_text_can_be_read(text: str) -> None:
    found, _ = parse(text)
    for entry in found:
        matches(entry.hosts, "alpha")


names = st.from_regex(r"[a-z0-9][a-z0-9.\-]{0,20}", fullmatch=True)


@given(names, st.integers(1, 65535), st.booleans(), st.binary(min_size=20, max_size=20))
def test_a_line_that_was_written_is_known(name: str, port: int, hashed: bool, salt: bytes) -> None:
    shown = name if port == 22 else f"[{name}]:{port}"
    found = entries(line_for(shown, ONE, salt if hashed else None).strip())
    assert judge(found, name, port, ONE).verdict is Verdict.KNOWN
    assert judge(found, name, port, OTHER).verdict is Verdict.CHANGED
    assert judge(found, f"{name}x", port, ONE).verdict is Verdict.UNKNOWN


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> HostKey:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("no ssh-keygen")
    file = tmp_path_factory.mktemp("key") / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file], check=True)
    kind, blob, *_ = file.with_name("key.pub").read_text().split()
    return HostKey(kind, base64.b64decode(blob))


patterns = st.lists(
    st.sampled_from(
        ["alpha", "*", "al*", "?lpha", "!alpha", "beta", "!*a", "[alpha]:2222", "[*]:2222", "*.x"]
    ),
    min_size=1,
    max_size=3,
).map(",".join)


@settings(max_examples=40, deadline=None)
@given(
    hosts=patterns,
    name=st.sampled_from(["alpha", "beta", "[alpha]:2222", "a.x"]),
    hashed=st.booleans(),
)
def test_ssh_keygen_finds_the_same(
    hosts: str, name: str, hashed: bool, public: HostKey, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("known") / "known"
    file.write_text(f"{hosts} {encoded(public)}\n")
    if hashed:
        subprocess.run(["ssh-keygen", "-q", "-H", "-f", file], capture_output=True, check=False)
    found = subprocess.run(
        ["ssh-keygen", "-F", name, "-f", file], capture_output=True, text=True, check=False
    )
    ours = [entry for entry in parse(file.read_text())[0] if matches(entry.hosts, name)]
    assert bool(ours) == (found.returncode == 0), file.read_text()


def test_ssh_keygen_finds_what_is_written_hashed(public: HostKey, tmp_path: Path) -> None:
    file = tmp_path / "known"
    file.write_text(line_for("[alpha]:2222", public, bytes(range(20))))
    command = ["ssh-keygen", "-l", "-F", "[alpha]:2222", "-f", str(file)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert public.fingerprint in found.stdout
