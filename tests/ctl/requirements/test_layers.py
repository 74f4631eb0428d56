"""Fetched once, then taken from the cache; the packages come from a folder, not from an index."""

import base64
import hashlib
import os
import zipfile
from pathlib import Path

import pytest

from ctl.errors import HostsError
from ctl.requirements import Target, Wanted, requirement_layers
from ctl.requirements.cache import Cache
from tests.ctl.layers.conftest import unpack_to

X86, ARM = "x86_64-manylinux_2_36", "aarch64-manylinux_2_36"


def wheel(folder: Path, name: str, version: str, tag: str = "py3-none-any") -> None:
    """Write a wheel with one module."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n",
    }
    record = []
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
        record.append(f"{path},sha256={digest.decode()},{len(text)}")
    record.append(f"{info}/RECORD,,")
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-{version}-{tag}.whl", "w") as archive:
        for path, text in {**files, f"{info}/RECORD": "\n".join(record) + "\n"}.items():
            archive.writestr(path, text)


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder of wheels that is all that there is."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    # Settings beside the flow count.
    (tmp_path / "uv.toml").write_text(f"no-index = true\nfind-links = [{str(folder)!r}]\n")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    return folder


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


def fetched(text, cache, tmp_path, said=None, **hosts):
    found = hosts or {"alpha": Target("3.11", X86)}
    say = (lambda _: None) if said is None else said.append
    return requirement_layers(Wanted(text, "here", tmp_path), found, say, cache)


def files_of(layer, folder):
    """The text of each file that a host would have, by its path."""
    there = unpack_to(folder / "host", layer)
    files = [path for path in there.rglob("*") if path.is_file()]
    return {str(path.relative_to(there)): path.read_text() for path in files}


def test_a_layer_has_modules_and_metadata_and_no_commands(index, cache, tmp_path):
    wheel(index, "rose", "1.0")
    layer = fetched("rose", cache, tmp_path)["alpha"]
    assert layer.versions == {"rose": "1.0"}
    paths = files_of(layer.layer, tmp_path)
    assert "rose.py" in paths
    assert "rose-1.0.dist-info/METADATA" in paths
    assert not [path for path in paths if path.startswith("bin/") or "RECORD" in path]


def test_the_same_requirements_are_the_same_layer_whatever_the_index_has_now(
    index, cache, tmp_path
):
    wheel(index, "rose", "1.0")
    before = fetched("rose", cache, tmp_path)["alpha"].layer
    wheel(index, "rose", "2.0")
    said: list[str] = []
    again = fetched("rose", cache, tmp_path, said)["alpha"].layer
    assert (again.digest, said) == (before.digest, [])
    other = fetched("rose>1", cache, tmp_path)["alpha"]
    assert other.versions == {"rose": "2.0"}


def test_two_operators_make_the_same_layer(index, tmp_path):
    wheel(index, "rose", "1.0")
    layers = [
        fetched("rose", Cache(tmp_path / name), tmp_path)["alpha"].layer for name in ("a", "b")
    ]
    assert layers[0].digest == layers[1].digest


def test_a_cached_file_that_was_changed_is_fetched_again(index, cache, tmp_path):
    wheel(index, "rose", "1.0")
    layer = fetched("rose", cache, tmp_path)["alpha"].layer
    assert layer.packed is not None
    layer.packed.write_bytes(layer.packed.read_bytes())
    os.utime(layer.packed, (1, 1))
    said: list[str] = []
    again = fetched("rose", cache, tmp_path, said)["alpha"].layer
    assert again.digest == layer.digest
    assert said
    assert "1.0" in files_of(again, tmp_path)["rose.py"]


def test_architectures_get_a_layer_each(index, cache, tmp_path):
    wheel(index, "rose", "1.0", "py3-none-manylinux_2_17_x86_64")
    wheel(index, "rose", "1.0", "py3-none-manylinux_2_17_aarch64")
    found = fetched("rose", cache, tmp_path, alpha=Target("3.11", X86), beta=Target("3.11", ARM))
    assert found["alpha"].layer.digest != found["beta"].layer.digest


def test_the_hosts_without_a_wheel_are_named(index, cache, tmp_path):
    wheel(index, "rose", "1.0", "py3-none-manylinux_2_17_x86_64")
    with pytest.raises(HostsError) as caught:
        fetched("rose", cache, tmp_path, alpha=Target("3.11", X86), beta=Target("3.11", ARM))
    assert list(caught.value.failures) == ["beta"]
    assert "no wheel of rose" in str(caught.value)
    assert caught.value.exit_code == 76


def test_a_python_that_the_project_does_not_want(index, cache, tmp_path):
    wanted = Wanted("rose", "pyproject.toml", tmp_path, ">=3.12")
    with pytest.raises(HostsError, match=r"pyproject\.toml requires >=3\.12"):
        requirement_layers(wanted, {"alpha": Target("3.11", X86)}, print, cache)
