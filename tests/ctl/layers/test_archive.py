"""What is packed is what a host unpacks, whatever the names and contents."""

import os
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctl.errors import FlowError
from ctl.layers import Entry, Layer, save
from ctl.remote.blocks import BLOCK_BYTES
from tests.ctl.layers.conftest import unpack_to
from tests.ctl.layers.digesting import digest_of

NAME = (
    st.binary(min_size=1, max_size=40)
    .map(lambda raw: raw.replace(b"/", b"_").replace(b"\0", b"_"))
    .filter(lambda raw: raw not in (b".", b".."))
    .map(lambda raw: raw.decode("utf-8", "surrogateescape"))
)
WORDS = st.text("ab \"'$()\n\\é漢%=*-~", min_size=1, max_size=150)
PATH = st.lists(NAME | WORDS.filter(lambda name: len(name.encode()) < 250), min_size=1, max_size=3)
FILES = st.dictionaries(PATH.map("/".join), st.tuples(st.binary(max_size=3000), st.booleans()))


def layer_of(folder: Path) -> Layer:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return Layer.of("code", (Entry.of(str(path.relative_to(folder)), path) for path in paths))


def packed(layer: Layer) -> bytes:
    return b"".join(block.data for block in layer.pack())


@given(FILES)
@settings(deadline=None)  # a disk may be busy
def test_files_survive_whatever_their_names_are(files):
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary, "source")
        source.mkdir()
        for name, (content, is_executable) in files.items():
            path = source / name
            if any(each.is_file() for each in path.parents) or path.exists():
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            path.chmod(0o755 if is_executable else 0o644)
        layer = layer_of(source)
        host = unpack_to(Path(temporary, "host"), layer)
        assert digest_of(host) == layer.digest == digest_of(source)
        for entry in layer.entries:
            there = host / entry.path
            assert isinstance(entry.source, Path)
            assert there.read_bytes() == entry.source.read_bytes()
            assert there.stat().st_mode & 0o777 == (0o700 if entry.executable else 0o600)


def test_the_stream_is_the_same_for_the_same_files(tree):
    one = tree({"a.py": "1", "b/c.py": "2"}, at="one")
    other = tree({"b/c.py": "2", "a.py": "1"}, at="other")
    os.utime(other / "a.py", (1, 1))
    assert packed(layer_of(one)) == packed(layer_of(other))


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "a").write_text("2"),
        lambda root: (root / "a").chmod(0o755),
        lambda root: (root / "a").rename(root / "b"),
        lambda root: (root / "c").write_text(""),
    ],
)
def test_content_mode_and_names_make_the_digest(tree, change):
    root = tree({"a": "1"})
    before = digest_of(root)
    change(root)
    assert digest_of(root) != before


def test_empty_folders_and_other_bits_do_not_count(tree):
    root = tree({"a": "1"})
    before = digest_of(root)
    (root / "empty" / "folder").mkdir(parents=True)
    (root / "a").chmod(0o600)
    assert digest_of(root) == before


def test_names_cannot_pass_for_a_list_of_files():
    one = Layer.of("code", [Entry.of("a\nb", b""), Entry.of("c", b"")])
    other = Layer.of("code", [Entry.of("a", b""), Entry.of("b\nc", b"")])
    assert one.digest != other.digest


@pytest.mark.parametrize("path", ["", "/a", "../a", "a/../b", "./a", "a//b", "a/", "..", "a\0b"])
def test_a_path_that_leads_out_is_refused(path):
    with pytest.raises(FlowError, match="cannot be a path in a layer"):
        Entry.of(path, b"")


def test_a_path_that_is_no_file_name_anywhere_is_refused():
    with pytest.raises(FlowError, match="cannot be the name of a file"):
        Entry.of("\ud800", b"")


def test_a_path_cannot_be_a_file_and_a_folder():
    with pytest.raises(FlowError, match="'a/b' cannot be both a file and the folder of 'a/b/c'"):
        Layer.of("code", [Entry.of("a/b", b""), Entry.of("a/b/c", b"")])


def test_a_path_cannot_be_there_twice():
    with pytest.raises(FlowError, match="two files would be pushed as 'a'"):
        Layer.of("code", [Entry.of("a", b"1"), Entry.of("a", b"2")])


@pytest.mark.parametrize("content", ["", "12", "1234", "abd", "x" * 200_000])
def test_a_file_that_changes_meanwhile_is_named(tree, content):
    file = tree({"a": "abc"}) / "a"
    layer = Layer.of("code", [Entry.of("a", file)])
    file.write_text(content)
    with pytest.raises(FlowError, match="a changed while it was being pushed") as caught:
        list(layer.pack())
    assert str(file) in str(caught.value)


def test_a_file_that_goes_meanwhile_is_named(tree):
    file = tree({"a": "abc"}) / "a"
    layer = Layer.of("code", [Entry.of("a", file)])
    file.unlink()
    with pytest.raises(FlowError, match="a cannot be pushed: No such file"):
        list(layer.pack())


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FlowError, match="pipe cannot be pushed: it is no regular file"):
        Entry.of("pipe", tmp_path / "pipe")


def test_large_layers_come_in_blocks_and_are_not_held(tmp_path):
    file = tmp_path / "large"
    file.write_bytes(os.urandom(1 << 20) * 8)
    layer = Layer.of("code", [Entry.of("large", file)])
    blocks = layer.pack()
    first = next(blocks)
    assert first.size == BLOCK_BYTES
    assert all(len(block.data) <= BLOCK_BYTES + 1000 for block in blocks)
    assert layer.size == 8 << 20


@pytest.mark.parametrize("lacks", [(), ("isal", "isal.isal_zlib")], ids=["isal", "zlib"])
def test_machines_pack_with_what_there_is_for_them(tree, tmp_path, monkeypatch, lacks):
    for name in lacks:
        monkeypatch.setitem(sys.modules, name, None)
    layer = layer_of(tree({"a": "1" * 10_000, "b/c": "2"}))
    assert len(packed(layer)) < 1_000
    assert digest_of(unpack_to(tmp_path / "host", layer)) == layer.digest


def test_an_empty_layer_is_an_empty_folder(tmp_path):
    layer = Layer.of("code", [])
    host = unpack_to(tmp_path, layer)
    assert digest_of(host) == layer.digest
    assert not list(host.iterdir())


def test_a_layer_that_was_packed_before(tree, tmp_path):
    layer = layer_of(tree({"a": os.urandom(3 * BLOCK_BYTES), "b/c": "2"}))
    file = tmp_path / "packed"
    save(layer.pack(), file)
    kept = Layer(layer.kind, layer.digest, layer.size, packed=file)
    assert list(kept.pack()) == list(layer.pack())
    assert digest_of(unpack_to(tmp_path / "host", kept)) == layer.digest


@pytest.mark.parametrize("length", [None, 4, 1000])
def test_what_was_packed_and_cannot_be_read_is_named(tree, tmp_path, length):
    layer = layer_of(tree({"a": os.urandom(3 * BLOCK_BYTES)}))
    file = tmp_path / "packed"
    if length is not None:
        save(layer.pack(), file)
        os.truncate(file, length)
    kept = Layer(layer.kind, layer.digest, layer.size, packed=file)
    with pytest.raises(FlowError, match="packed cannot be pushed: ") as caught:
        list(kept.pack())
    assert caught.value.fix == "remove it, and deploy again"
