import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ctl.errors import LostError
from ctl.inventory import Host
from ctl.transport import Channel, SshSettings, open_channel
from ctl.transport.tail import clean
from tests.engine.running import eventually


def start(command: str) -> Channel:
    return open_channel(Host(name="here", transport="local"), command, SshSettings())


def everything(channel: Channel) -> bytes:
    return b"".join(iter(lambda: channel.receive(1 << 16), b""))


def test_what_is_sent_arrives_and_what_comes_is_received() -> None:
    channel = start("read line; echo got $line")
    channel.send(memoryview(b"hello\n"))
    assert everything(channel) == b"got hello\n"
    channel.close()


def test_the_command_has_a_session_of_its_own() -> None:
    channel = start("ps -o sid= -p $$")
    assert int(everything(channel)) != os.getsid(0)
    channel.close()


def test_a_lot_goes_both_ways() -> None:
    channel = start("cat")
    data = os.urandom(8 << 20)
    sender = threading.Thread(target=channel.send, args=(data,))
    sender.start()
    received = bytearray()
    while len(received) < len(data):
        received += channel.receive(1 << 18)
    sender.join()
    channel.close()
    assert received == data


def test_pieces_of_several_threads_do_not_mix() -> None:
    channel = start("cat")
    pieces = [bytes([letter]) * 300_000 for letter in b"abcd"]
    senders = [threading.Thread(target=channel.send, args=(piece,)) for piece in pieces]
    for sender in senders:
        sender.start()
    received = bytearray()
    while len(received) < 1_200_000:
        received += channel.receive(1 << 18)
    channel.close()
    assert sorted(received[at : at + 300_000] for at in range(0, 1_200_000, 300_000)) == pieces


def test_closing_wakes_who_receives() -> None:
    channel = start("exec sleep 600")
    received: list[bytes] = []
    waiting = threading.Thread(target=lambda: received.append(channel.receive(10)))
    waiting.start()
    channel.close()
    waiting.join(10)
    assert received == [b""]


def test_closing_wakes_who_sends() -> None:
    channel = start("exec sleep 600")
    lost: list[BaseException] = []

    def send() -> None:
        try:
            channel.send(bytes(8 << 20))
        except LostError as error:
            lost.append(error)

    sending = threading.Thread(target=send)
    sending.start()
    channel.close()
    sending.join(10)
    assert "this machine" in str(lost[0])


def test_after_the_end_there_is_nothing_to_send_to_or_receive() -> None:
    channel = start("cat")
    channel.close()
    channel.close()
    assert channel.receive(10) == b""
    with pytest.raises(LostError):
        channel.send(b"x")


def test_the_command_sees_the_end_and_goes_on(tmp_path: Path) -> None:
    channel = start(
        f"read line; read rest; echo $line > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/end"
    )
    channel.send(b"the last word\n")
    channel.close()
    eventually((tmp_path / "end").exists, "the end of the command")
    assert (tmp_path / "end").read_text() == "the last word\n"


def test_it_is_reaped_when_it_ends() -> None:
    channel = start("echo $$; exec cat")
    pid = int(channel.receive(100))
    channel.close()
    eventually(lambda: not Path(f"/proc/{pid}").exists(), "the end of the process")


def test_the_complaint_is_the_end_of_standard_error() -> None:
    channel = start(
        "head -c 1000000 /dev/zero | tr '\\0' x >&2; printf '\\033[31mno\\033[0m\\n' >&2"
    )
    assert everything(channel) == b""
    assert channel.complaint.endswith("xxxno\n")
    assert len(channel.complaint) <= 4096
    channel.close()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;title\x07word", "word"),
        ("\x1b]8;;http://x\x1b\\link", "link"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("a\rb\x00c\x9bd", "abcd"),
        ("\x1b(Bx\x1bMy", "xy"),
        ("tab\tand\nline", "tab\tand\nline"),
        ("größe", "größe"),
        ("cut off \x1b[3", "cut off "),
    ],
)
def test_escapes_are_removed(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_start_up_brings_nothing_heavy() -> None:
    code = (
        "import sys, ctl.transport; print({'paramiko', 'fabric', 'cryptography'} & {*sys.modules})"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "set()\n"
