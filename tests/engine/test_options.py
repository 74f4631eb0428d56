"""What command lines and environment variables mean, and which make no sense."""

import os

import pytest

from engine.errors import ConfigurationError, UsageError
from engine.options import OWN_VARIABLES, Options, parse, take_secret
from engine.settings import Address


def test_nothing_but_a_flow():
    assert parse(["f.py"], {}) == Options("f.py")


def test_a_flag_goes_before_its_variable():
    environ = {"ENGINE_WORKERS_PER_PROCESS": "3", "ENGINE_EPOCH_INTERVAL": "0.5"}
    options = parse(["f.py", "-w", "2"], environ)
    assert options.workers_per_process == 2
    assert options.epoch_interval == 0.5


def test_an_empty_variable_says_nothing():
    assert parse(["f.py"], {"ENGINE_PROCESSES": ""}).processes is None


def test_addresses_are_split_by_either_sign():
    options = parse(["f.py", "-a", "h:1;[::1]:2,g:3", "-i", "1"], {})
    assert options.addresses == (Address("h", 1), Address("::1", 2), Address("g", 3))
    assert options.settings(b"s").process_id == 1


@pytest.mark.parametrize("flag", ["-s", "--epoch-interval", "--snapshot-interval"])
def test_the_epoch_interval_has_three_names(flag):
    assert parse(["f.py", flag, "0"], {}).settings(None).epoch_interval == 0


def test_switches_from_the_environment():
    on = {"ENGINE_INSECURE": "1", "ENGINE_ADDRESSES": "h:1", "ENGINE_PROCESS_ID": "0"}
    assert parse(["f.py"], on).settings(None).insecure
    assert not parse(["f.py"], {**on, "ENGINE_INSECURE": "no"}).settings(None).insecure


@pytest.mark.parametrize(
    ("words", "environ", "sentence"),
    [
        (
            "-a h:1;h:2",
            {},
            "-a needs -i, which of the addresses is this process's: -i 0 to -i 1",
        ),
        (
            "",
            {"ENGINE_ADDRESSES": "h:1"},
            "ENGINE_ADDRESSES needs -i, which of the addresses is this process's: -i 0 to -i 0",
        ),
        (
            "-i 0",
            {},
            "-i needs -a, the addresses of all processes; for a cluster on this machine only, "
            "use -p",
        ),
        (
            "-p 2 -i 0 -a h:1",
            {},
            "-p starts a whole cluster here and -a makes one process of a cluster; leave out one",
        ),
        (
            "-p 2",
            {"ENGINE_PROCESS_ID": "1"},
            "-p starts a whole cluster here and ENGINE_PROCESS_ID makes one process of a cluster; "
            "leave out one",
        ),
        ("-i 0 -a ;", {}, "-a lists no address; write host:port;host:port"),
        (
            "-i 0 -a h:1 --tls-ca x",
            {},
            "--tls-ca, --tls-cert and --tls-key go together; give all three or none",
        ),
        (
            "-i 0 -a h:1 --tls-ca x --tls-cert y --tls-key z --insecure",
            {},
            "--insecure gives up the TLS that --tls-ca asks for; leave out one",
        ),
        (
            "--bind h",
            {},
            "--bind is for a mesh between hosts; add -a and -i, or leave it out",
        ),
        (
            "-p 2 --health x",
            {},
            "--health is one socket and -p starts several processes; use `ctl run --health FOLDER`",
        ),
        (
            "-i 0",
            {"ENGINE_ADDRESSES": "nowhere"},
            "ENGINE_ADDRESSES: address 'nowhere' is not host:port; an IPv6 host goes in brackets: "
            "[::1]:9000",
        ),
        ("", {"ENGINE_PROCESSES": "0"}, "ENGINE_PROCESSES: '0' is no number from 1"),
        ("", {"ENGINE_INSECURE": "maybe"}, "ENGINE_INSECURE: 'maybe' is neither 1 nor 0"),
    ],
)
def test_what_makes_no_sense_is_said_in_one_sentence(words, environ, sentence):
    with pytest.raises(UsageError) as raised:
        parse(["f.py", *words.split()], environ)
    assert str(raised.value) == sentence


@pytest.mark.parametrize(
    "words",
    [
        "",
        "f.py g.py",
        "f.py --nope",
        "f.py -p x",
        "f.py -w 0",
        "f.py -s nan",
        "f.py --proc 2",
        "f.py -a x",
    ],
)
def test_a_wrong_command_line_is_a_usage_error(words):
    with pytest.raises(UsageError, match="--help` lists what there is"):
        parse(words.split(), {})


def test_flags_that_local_processes_share():
    options = parse(["f.py", "-p", "2", "-s", "1", "--cluster-id", "a b"], {})
    assert options.shared_flags == ("--epoch-interval=1.0", "--cluster-id=a b")


def test_variables_of_one_process_are_not_for_those_that_it_launches():
    assert {"ENGINE_SECRET", "ENGINE_PROCESSES", "ENGINE_HEALTH"} < set(OWN_VARIABLES)
    assert "ENGINE_LOG_FORMAT" not in OWN_VARIABLES


def test_help_names_each_variable(capsys):
    with pytest.raises(SystemExit):
        parse(["--help"], {})
    out = capsys.readouterr().out
    for name in (*OWN_VARIABLES, "ENGINE_EPOCH_INTERVAL", "ENGINE_LOG_LEVEL"):
        assert name in out
    assert "--parent-fd" not in out


def test_the_secret_is_taken_out_of_the_environment():
    environ = {"ENGINE_SECRET": "sesame", "HOME": "/"}
    assert take_secret(Options("f.py"), environ) == b"sesame"
    assert environ == {"HOME": "/"}


def test_the_secret_of_a_file(tmp_path):
    path = tmp_path / "secret"
    path.write_text("sesame\n")
    path.chmod(0o600)
    assert take_secret(Options("f.py", secret_file=path), {}) == b"sesame"


def test_a_secret_that_others_may_read_is_refused(tmp_path):
    path = tmp_path / "secret"
    path.write_text("sesame\n")
    path.chmod(0o640)
    with pytest.raises(ConfigurationError, match=f"run: chmod 600 {path}$"):
        take_secret(Options("f.py", secret_file=path), {})


def test_secrets_that_are_not_there(tmp_path):
    path = tmp_path / "secret"
    options = Options("f.py", secret_file=path)
    with pytest.raises(ConfigurationError, match="No such file"):
        take_secret(options, {})
    os.close(os.open(path, os.O_CREAT, 0o600))
    with pytest.raises(ConfigurationError, match="is empty"):
        take_secret(options, {})
    with pytest.raises(ConfigurationError, match="is empty"):
        take_secret(Options("f.py"), {"ENGINE_SECRET": ""})
    with pytest.raises(UsageError, match="two secrets"):
        take_secret(options, {"ENGINE_SECRET": "x"})
