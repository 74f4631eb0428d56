import subprocess
import sys


def test_the_benchmark_of_the_relay_runs_at_a_tiny_size(repository):
    words = (sys.executable, "-m", "benchmarks.relay", "--rounds", "1", "--megabytes", "2")
    done = subprocess.run(words, cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        *("direct", "ssl", "relay"),
        *("bulk", "added"),
    ]
