import contextlib
import errno
import gzip
import io
import os
import shutil
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctl.layers import Entry, Layer
from ctl.remote.digest import digest_of
from ctl.remote.errors import RemoteError
from ctl.remote.root import Root, prepare
from ctl.remote.unpack import receive

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


def taking(data, size=1000):
    chunks = [data[start : start + size] for start in range(0, len(data), size)]
    return lambda: chunks.pop(0) if chunks else b""


def packed(*members):
    """A tar file of members, each with its content."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return gzip.compress(stream.getvalue())


def member(name, kind=tarfile.REGTYPE, **more):
    info = tarfile.TarInfo(name)
    info.type = kind
    for key, value in more.items():
        setattr(info, key, value)
    return info


def refused(root, data, digest="0" * 64):
    with pytest.raises(RemoteError) as caught:
        receive(root, digest, taking(data))
    assert list(root.path.rglob("*")) in ([], [root.path / "layers"])
    return caught.value


@pytest.mark.parametrize("size", [1, 1000, 10**9])
def test_a_layer_arrives_whole(root, layer, size):
    receive(root, layer.digest, taking(b"".join(layer.pack()), size))
    folder = root.layer(layer.digest)
    assert root.has(layer.digest)
    assert digest_of(folder) == layer.digest
    assert {name: (folder / name).read_bytes() for name in FILES} == FILES
    assert (folder / "run.sh").stat().st_mode & 0o777 == 0o700
    assert (folder / "flow.py").stat().st_mode & 0o777 == 0o600
    assert [each.name for each in (root.path / "layers").iterdir()] == [layer.digest]
    for path in (root.path, *root.path.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_layer_that_another_session_has_brought_meanwhile(root, layer):
    chunks = [b"".join(layer.pack())]

    def take():
        if chunks:
            receive(root, layer.digest, taking(chunks[0]))
            return chunks.pop()
        return b""

    receive(root, layer.digest, take)
    assert [each.name for each in (root.path / "layers").iterdir()] == [layer.digest]
    assert digest_of(root.layer(layer.digest)) == layer.digest


@pytest.mark.parametrize(
    "info",
    [
        member("/etc/passwd"),
        member("../outside"),
        member("a/../../outside"),
        member("a", tarfile.SYMTYPE, linkname="/etc"),
        member("a", tarfile.LNKTYPE, linkname="b"),
        member("a", tarfile.CHRTYPE, devmajor=1, devminor=3),
        member("a", tarfile.BLKTYPE),
        member("a", tarfile.FIFOTYPE),
        member("a", tarfile.DIRTYPE),
        member("."),
        member("\0"),
        member("a\0b"),
        member("x" * 300),
        member("/".join(["x" * 200] * 30)),
        member("a", mode=0o4755),
    ],
    ids=lambda info: f"{info.name[:20]!r} {info.type!r}",
)
def test_what_has_no_place_in_a_layer(root, info, tmp_path):
    error = refused(root, packed((member("b"), b"text"), (info, b"")))
    assert error.exit_code in (73, 74)
    assert [each.name for each in tmp_path.iterdir()] == ["root"]


def test_a_file_below_a_link_of_the_same_archive(root, tmp_path):
    refused(
        root,
        packed(
            (member("a", tarfile.SYMTYPE, linkname=str(tmp_path)), b""), (member("a/evil"), b"x")
        ),
    )
    assert not (tmp_path / "evil").exists()


def test_the_same_name_twice(root):
    assert refused(root, packed((member("a"), b"1"), (member("a"), b"2"))).exit_code in (73, 74)


def test_a_name_that_is_a_folder_and_a_file(root):
    refused(root, packed((member("a"), b"1"), (member("a/b"), b"2")))


def test_other_contents_than_were_promised(root, layer):
    error = refused(root, b"".join(layer.pack()), "1" * 64)
    assert (error.exit_code, error.problem) == (
        74,
        "layer 111111 arrived with other contents than were sent",
    )


@pytest.mark.parametrize("length", range(0, 24, 3))
def test_a_stream_that_ends_in_its_header(root, layer, length):
    assert refused(root, b"".join(layer.pack())[:length]).exit_code == 74


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_stream_that_is_cut_or_damaged_leaves_nothing(tmp_path_factory, data):
    root = Root(str(tmp_path_factory.mktemp("host") / "root"))
    layer = Layer.of("code", [Entry.of(name, content) for name, content in FILES.items()])
    sent = bytearray(b"".join(layer.pack()))
    place = data.draw(st.integers(0, len(sent) - 1))
    if data.draw(st.booleans()):
        del sent[place:]
    else:
        sent[place] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(RemoteError):
        receive(root, layer.digest, taking(bytes(sent)))
    kept = [each.name for each in (root.path / "layers").iterdir()]
    assert kept in ([], [layer.digest])
    if kept:
        # Some bytes of a gzip header, and the zeros at the end of an archive, mean nothing.
        assert digest_of(root.layer(layer.digest)) == layer.digest


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=1500), st.booleans())
def test_anything_at_all_is_refused(tmp_path_factory, data, compressed):
    root = Root(str(tmp_path_factory.mktemp("host") / "root"))
    refused(root, gzip.compress(data) if compressed else data)


def test_a_connection_that_is_lost_meanwhile(root, layer):
    start = b"".join(layer.pack())[:500]

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

    monkeypatch.setattr(shutil, "copyfileobj", refuse)
    error = refused(root, b"".join(layer.pack()))
    assert error.exit_code == 73
    assert error.problem == "cannot write a layer: No space left on device"
    assert error.fix == "free some space there"


def test_a_root_that_cannot_be(tmp_path, layer):
    (tmp_path / "file").touch()
    with pytest.raises(RemoteError) as caught:
        receive(Root(str(tmp_path / "file" / "root")), layer.digest, taking(b""))
    assert caught.value.exit_code == 73
    assert "Not a directory" in caught.value.problem
