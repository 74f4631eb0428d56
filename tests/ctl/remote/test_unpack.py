import contextlib
import errno
import json
import os
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctl.layers import Entry, Layer
from ctl.remote.blocks import BLOCK_BYTES, LENGTH, WINDOW
from ctl.remote.errors import RemoteError
from ctl.remote.root import Root, prepare
from ctl.remote.unpack import receive
from tests.ctl.layers.digesting import digest_of

FILES = {"flow.py": b"flow = 1\n", "data/ä b.csv": b"1,2\n" * 50_000, "data/empty": b""}


@pytest.fixture
def root(tmp_path):
    before = os.umask(0)
    prepare()
    yield Root(str(tmp_path / "root"))
    os.umask(before)


@pytest.fixture
def layer(tmp_path):
    program = tmp_path / "run.sh"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    entries = [Entry.of(name, content) for name, content in FILES.items()]
    return Layer.of("code", [*entries, Entry.of("run.sh", program)])


def blocks_of(layer):
    return [block.data for block in layer.pack()]


def taking(blocks):
    left = iter(blocks)
    return lambda: next(left, b"")


def stream(listing, contents=b""):
    """A packed layer with such a list of files, in one block."""
    text = json.dumps(listing).encode()
    return [deflate(LENGTH.pack(len(text)) + text + contents)]


def deflate(data):
    return zlib.compress(data, wbits=WINDOW)


def refused(root, blocks, digest="0" * 64):
    with pytest.raises(RemoteError) as caught:
        receive(root, digest, taking(blocks))
    assert list(root.path.rglob("*")) in ([], [root.path / "layers"])
    return caught.value


def test_a_layer_arrives_whole(root, layer):
    receive(root, layer.digest, taking(blocks_of(layer)))
    folder = root.layer(layer.digest)
    assert root.has(layer.digest)
    assert digest_of(folder) == layer.digest
    assert {name: (folder / name).read_bytes() for name in FILES} == FILES
    assert (folder / "run.sh").stat().st_mode & 0o777 == 0o700
    assert (folder / "flow.py").stat().st_mode & 0o777 == 0o600
    assert [each.name for each in (root.path / "layers").iterdir()] == [layer.digest]
    for path in (root.path, *root.path.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_layer_of_many_blocks(root):
    """Files begin and end anywhere in a block, and several are inflated at once."""
    large = {"a": os.urandom(40 * BLOCK_BYTES + 7), "z": bytes(2 * BLOCK_BYTES)}
    small = {f"b{number:04}": os.urandom(number) for number in range(2000)}
    layer = Layer.of("code", [Entry.of(*each) for each in (large | small).items()])
    receive(root, layer.digest, taking(blocks_of(layer)))
    assert digest_of(root.layer(layer.digest)) == layer.digest
    assert (root.layer(layer.digest) / "a").read_bytes() == large["a"]


def test_a_layer_that_another_session_has_brought_meanwhile(root, layer):
    blocks = blocks_of(layer)

    def take():
        if blocks:
            receive(root, layer.digest, taking(blocks))
            return blocks.pop()
        return b""

    receive(root, layer.digest, take)
    assert [each.name for each in (root.path / "layers").iterdir()] == [layer.digest]
    assert digest_of(root.layer(layer.digest)) == layer.digest


@pytest.mark.parametrize(
    "name",
    [
        *("/etc/passwd", "../outside", "a/../../outside", "..", ".", "", "/", "a/", "a//b", "./a"),
        *("\0", "a\0b", "x" * 300, "/".join(["x" * 200] * 30), 1, None, ["a"]),
    ],
    ids=lambda name: repr(name)[:20],
)
def test_what_has_no_place_in_a_layer(root, name, tmp_path):
    error = refused(root, stream([("b", False, 4), (name, False, 0)], b"text"))
    assert error.exit_code in (73, 74)
    assert [each.name for each in tmp_path.iterdir()] == ["root"]


@pytest.mark.parametrize(
    "listing",
    [
        *({}, {"a": 1}, None, 1, "abc", ["abc"], [1], [[]], [["a", False]], [["a", False, 0, 0]]),
        *([["a", 1, 0]], [["a", False, -1]], [["a", False, True]], [["a", False, 1.0]]),
        *([["a", False, "1"]], [["a", False, 1]]),
    ],
    ids=repr,
)
def test_what_is_no_list_of_files(root, listing):
    assert refused(root, stream(listing)).exit_code == 74


def test_a_list_that_is_too_long(root):
    error = refused(root, [deflate(LENGTH.pack(1 << 40) + b"[]")])
    assert error.problem == "layer 000000 arrived damaged: its list of files is too long"


def test_more_than_its_files(root, layer):
    *blocks, last = blocks_of(layer)
    longer = deflate(zlib.decompress(last, WINDOW) + b"x")
    for more in ([*blocks, longer], [*blocks, last, deflate(b"x")]):
        error = refused(root, more, layer.digest)
        assert error.problem.endswith("arrived damaged: there is more than its files")


def test_the_same_name_twice(root):
    twice = [("a", False, 1), ("a", False, 1)]
    assert refused(root, stream(twice, b"12")).exit_code in (73, 74)


def test_a_name_that_is_a_folder_and_a_file(root):
    refused(root, stream([("a", False, 1), ("a/b", False, 1)], b"12"))


def test_other_contents_than_were_promised(root, layer):
    error = refused(root, blocks_of(layer), "1" * 64)
    assert (error.exit_code, error.problem) == (
        74,
        "layer 111111 arrived with other contents than were sent",
    )


@pytest.mark.parametrize("length", range(0, 24, 3))
def test_a_stream_that_ends_in_its_header(root, layer, length):
    [block] = blocks_of(layer)
    assert refused(root, [block[:length]]).exit_code == 74


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_stream_that_is_cut_or_damaged_leaves_nothing(tmp_path_factory, data):
    root = Root(str(tmp_path_factory.mktemp("host") / "root"))
    layer = Layer.of("code", [Entry.of(name, content) for name, content in FILES.items()])
    [block] = blocks_of(layer)
    sent = bytearray(block)
    place = data.draw(st.integers(0, len(sent) - 1))
    if data.draw(st.booleans()):
        del sent[place:]
    else:
        sent[place] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(RemoteError):
        receive(root, layer.digest, taking([bytes(sent)]))
    kept = [each.name for each in (root.path / "layers").iterdir()]
    assert kept in ([], [layer.digest])
    if kept:
        # Some bits at the end of a block mean nothing.
        assert digest_of(root.layer(layer.digest)) == layer.digest


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=1500), max_size=4), st.booleans())
def test_anything_at_all_is_refused(tmp_path_factory, blocks, compressed):
    root = Root(str(tmp_path_factory.mktemp("host") / "root"))
    refused(root, [deflate(block) if compressed else block for block in blocks])


def test_a_connection_that_is_lost_meanwhile(root, layer):
    start = blocks_of(layer)[0][:500]

    def take():
        if chunks:
            return chunks.pop()
        raise RemoteError(74, "the connection was lost during a push")

    chunks = [start]
    with pytest.raises(RemoteError, match="lost during"):
        receive(root, layer.digest, take)
    assert list((root.path / "layers").iterdir()) == []


def test_a_full_disk(root, layer, monkeypatch):
    def refuse(*_args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", refuse)
    error = refused(root, blocks_of(layer))
    assert error.exit_code == 73
    assert error.problem == "cannot write a layer: No space left on device"
    assert error.fix == "free some space there"


def test_a_root_that_cannot_be(tmp_path, layer):
    (tmp_path / "file").touch()
    with pytest.raises(RemoteError) as caught:
        receive(Root(str(tmp_path / "file" / "root")), layer.digest, taking(b""))
    assert caught.value.exit_code == 73
    assert "Not a directory" in caught.value.problem
