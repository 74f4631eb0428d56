"""What TLS leaves of a shuffle: `python -m benchmarks.tls`.

Strings of 1 KB go from one process to another: through the engine with mutual TLS, through the
engine without, and through a bare `ssl` loop that pickles and unpickles the same batches.
"""

import os
import pickle
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path

from benchmarks.programs import shuffle_items
from ctl.certificates import mint

COUNT = 300_000
ROUNDS = 5
TARGET = 0.6
PROGRAM = Path(__file__).parent / "programs" / "shuffle.py"
EXPECTED = COUNT * 1024


def main() -> int:
    """Measure, print, and return the exit code."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_certificates(folder)
        contenders = {
            "engine, TLS": lambda: _engine(folder, tls=True),
            "engine, plain": lambda: _engine(folder, tls=False),
            "bare ssl": lambda: _bare(folder),
        }
        seconds: dict[str, list[float]] = {name: [] for name in contenders}
        for round_ in range(ROUNDS + 1):
            for contender, run in contenders.items():
                taken = run()
                if round_:
                    seconds[contender].append(taken)
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    print("| contender | median | MB/s |\n|---|---|---|")
    for name, median in medians.items():
        print(f"| {name} | {median:.2f} s | {EXPECTED / median / 1e6:,.0f} |")
    ratio = medians["bare ssl"] / medians["engine, TLS"]
    verdict = "pass" if ratio >= TARGET else "short"
    print(f"\nengine with TLS / bare ssl: {ratio:.2f} of its speed (target ≥ {TARGET}): {verdict}")
    return 0


def _write_certificates(folder: Path) -> None:
    minted = mint("shuffle", (0, 1))
    (folder / "ca.pem").write_text(minted.authority)
    for number, (certificate, key) in minted.processes.items():
        (folder / f"{number}.pem").write_text(certificate)
        (folder / f"{number}.key").touch(mode=0o600)
        (folder / f"{number}.key").write_text(key)


def _engine(folder: Path, *, tls: bool) -> float:
    """Seconds from the moment both processes run to the end of the last one."""
    result = folder / "result"
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in (0, 1)]
    addresses = ";".join("{}:{}".format(*each.getsockname()) for each in listeners)
    for each in listeners:
        each.close()
    env = {**os.environ, "BENCH_COUNT": str(COUNT), "BENCH_RESULT": str(result)}
    env |= {"ENGINE_LOG_LEVEL": "WARNING", "PYTHONPATH": str(Path(__file__).parents[1])}
    started = time.perf_counter()
    processes = []
    for number in (0, 1):
        words = [sys.executable, "-P", "-m", "engine.run", "-i", str(number), "-a", addresses]
        if tls:
            words += ["--tls-ca", str(folder / "ca.pem")]
            words += ["--tls-cert", str(folder / f"{number}.pem")]
            words += ["--tls-key", str(folder / f"{number}.key")]
        processes.append(subprocess.Popen([*words, str(PROGRAM)], env=env))
    codes = [process.wait() for process in processes]
    taken = time.perf_counter() - started
    assert codes == [0, 0], codes
    assert result.read_text().strip() == str(EXPECTED)
    return taken


def _bare(folder: Path) -> float:
    """The same for two processes that do nothing else."""
    context = get_context("spawn")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
    started = time.perf_counter()
    receiver = context.Process(target=_receive, args=(folder, address))
    sender = context.Process(target=_send, args=(folder, address))
    receiver.start()
    sender.start()
    sender.join()
    receiver.join()
    taken = time.perf_counter() - started
    assert (sender.exitcode, receiver.exitcode) == (0, 0)
    return taken


def _context(folder: Path, number: int, protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(folder / "ca.pem")
    context.load_cert_chain(folder / f"{number}.pem", folder / f"{number}.key")
    return context


def _send(folder: Path, address: tuple[str, int]) -> None:
    context = _context(folder, 0, ssl.PROTOCOL_TLS_CLIENT)
    while True:
        try:
            plain = socket.create_connection(address)
            break
        except ConnectionRefusedError:
            time.sleep(0.01)
    with context.wrap_socket(plain) as connection:
        for batch in shuffle_items.batches(COUNT):
            data = pickle.dumps(batch, 5)
            connection.sendall(len(data).to_bytes(8, "big"))
            connection.sendall(data)
        connection.sendall(bytes(8))
        assert connection.recv(1) == b"!"


def _receive(folder: Path, address: tuple[str, int]) -> None:
    context = _context(folder, 1, ssl.PROTOCOL_TLS_SERVER)
    total = 0
    with socket.create_server(address) as listener:
        plain, _ = listener.accept()
    with context.wrap_socket(plain, server_side=True) as connection:
        file = connection.makefile("rb", 1 << 20)
        while length := int.from_bytes(file.read(8), "big"):
            for _, text in pickle.loads(file.read(length)):
                total += len(text)
        connection.sendall(b"!")
    assert total == EXPECTED, total


if __name__ == "__main__":
    sys.exit(main())
