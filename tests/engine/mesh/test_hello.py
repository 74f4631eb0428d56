import json
from dataclasses import asdict

import pytest

from engine.errors import ConfigurationError
from engine.mesh.hello import HELLO_LIMIT, Fingerprint, Hello, HelloError, differences
from engine.settings import Address, ClusterSettings
from tests.engine.mesh.conversation import hello

THREE = ("127.0.0.1:9000", "127.0.0.1:9001", "127.0.0.1:9002")


def steps(*names_and_digests):
    return Fingerprint("ffff", names_and_digests)


def test_a_hello_survives_the_journey():
    said = hello(1, store="s3", generation=7, purpose="data", to=0).for_connection("hmac")
    assert Hello.decode(said.encode()) == said


def test_each_connection_has_a_nonce_of_its_own():
    base = hello()
    first, second = base.for_connection("hmac"), base.for_connection("hmac")
    assert first.nonce != second.nonce
    assert first.instance == second.instance


def test_a_hello_is_made_of_the_settings():
    settings = ClusterSettings(
        addresses=(Address("::1", 1), Address("b", 2)), process_id=1, workers=3, cluster_id="c"
    )
    made = Hello.of(settings, engine="1.2", fingerprint=Fingerprint("ab"), store="x")
    assert made.addresses == ("[::1]:1", "b:2")
    assert (made.process, made.workers, made.cluster, made.store) == (1, 3, "c", "x")


def test_a_hello_too_long_for_peers_is_refused_at_its_sender():
    many = tuple((f"flow.step{index}", "0" * 40) for index in range(HELLO_LIMIT // 40))
    with pytest.raises(ConfigurationError, match="too many steps"):
        hello(fingerprint=Fingerprint("ab", many)).encode()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"process": "1"}, "process is not of type int"),
        ({"process": True}, "process is not of type int"),
        ({"process": 2}, "process 2 is not in its list of 2 addresses"),
        ({"process": -1}, "process -1 is not in its list"),
        ({"workers": None}, "workers is not of type int"),
        ({"addresses": "ab"}, "addresses is not of type list"),
        ({"addresses": [1, 2]}, "addresses are not all of type str"),
        ({"fingerprint": ["ab"]}, "fingerprint makes no sense"),
        ({"fingerprint": ["ab", [["x"]]]}, "fingerprint makes no sense"),
        ({"fingerprint": ["ab", [3]]}, "fingerprint makes no sense"),
        ({"store": 3}, "store is not of type str"),
        ({"to": "0"}, "to is not of type int"),
        ({"purpose": "steal"}, "'steal'"),
        ({"auth": "magic"}, "'magic'"),
    ],
)
def test_nonsense_is_named(change, complaint):
    body = json.dumps(asdict(hello()) | change).encode()
    with pytest.raises(HelloError, match=complaint):
        Hello.decode(body)


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b"{}", b"[" * 100_000, b"9" * 10_000])
def test_what_is_no_hello_is_an_error(body):
    with pytest.raises(HelloError):
        Hello.decode(body)


def test_equal_processes_do_not_differ():
    assert differences(hello(0), hello(1, to=0, purpose="data")) == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"protocol": 2}, "mesh protocols differ: process 0 has 1, process 1 has 2"),
        ({"engine": "9"}, "engine versions differ: process 0 has '0.1.0', process 1 has '9'"),
        ({"python": "3.12"}, "Python versions differ: process 0 has '3.11', process 1 has '3.12'"),
        ({"cluster": "x"}, "cluster ids differ: process 0 has 'test', process 1 has 'x'"),
        ({"workers": 2}, "workers per process differ: process 0 has 1, process 1 has 2"),
        ({"store": "s"}, "recovery stores differ: process 0 has none, process 1 has 's'"),
        ({"addresses": THREE}, "address lists differ: process 0 has 2 addresses, process 1 has 3 "),
        (
            {"addresses": ("127.0.0.1:8000", "127.0.0.1:9001")},
            "addresses of process 0 differ: process 0 has '127.0.0.1:9000', "
            "process 1 has '127.0.0.1:8000'",
        ),
        (
            {"fingerprint": steps(("flow.inp", "11"), ("flow.out", "33"))},
            "dataflows differ: process 0 has 'abcd', process 1 has 'ffff'; "
            "the first step that differs is 'flow.out'",
        ),
        (
            {"fingerprint": steps(("flow.inp", "11"), ("flow.end", "22"))},
            "their first different step is number 2: 'flow.out' in process 0, "
            "'flow.end' in process 1",
        ),
        (
            {"fingerprint": steps(("flow.inp", "11"))},
            "the first step that process 1 lacks is 'flow.out'",
        ),
        (
            {"fingerprint": steps(("flow.inp", "11"), ("flow.out", "22"), ("flow.more", "33"))},
            "the first step that process 0 lacks is 'flow.more'",
        ),
        (
            {"fingerprint": steps(("flow.inp", "11"), ("flow.out", "22"))},
            "their steps are the same, but not how they are connected",
        ),
    ],
)
def test_a_difference_names_field_values_and_processes(change, sentence):
    mine, theirs = hello(0), hello(1, **change)
    [found] = differences(mine, theirs)
    assert sentence in found
    assert differences(theirs, mine) == [found]


def test_another_process_than_the_dialed_one_answers():
    mine, theirs = hello(0, addresses=THREE), hello(2, addresses=THREE, to=1)
    assert differences(mine, theirs) == [
        "addresses differ: where process 2 expects process 1, process 0 answers"
    ]


def test_all_differences_are_told():
    assert len(differences(hello(0), hello(1, workers=2, engine="9", store="s"))) == 3


def test_many_different_addresses_are_counted():
    lists = (tuple(f"{name}:{port}" for port in range(1, 1000)) for name in "ab")
    found = differences(hello(0, addresses=next(lists)), hello(1, addresses=next(lists)))
    assert found[-1] == "994 more addresses differ"
    assert len(found) == 6


def test_values_of_a_peer_stay_on_one_line_and_short():
    [found] = differences(hello(0), hello(1, cluster="x\n" * 1000))
    assert "\n" not in found
    assert len(found) < 400
