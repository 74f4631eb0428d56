import pytest

from ctl.errors import CannotWriteError, HostsError, VersionError
from ctl.phases.checking import judge, raise_problems, unreached
from ctl.reports import Problem, Reach

FACTS = {
    "python": [3, 11, 2],
    "implementation": "cpython",
    "system": "Linux",
    "root": "/home/deploy/.hostmesh",
    "unwritable": None,
    "disk_free": 10**9,
    "open_files": [1024, 4096],
    "user": "deploy",
    "place": "alpha",
}


def judged(offset=0.0, needed=0, **changes):
    return judge({"alpha": FACTS | changes}, {"alpha": offset}, needed)["alpha"]


def test_nothing_is_wrong():
    assert judge({}, {}, 0) == {}
    assert judged() == ()
    assert judged(open_files=[1024, -1]) == ()
    assert judged(offset=29.0) == judged(offset=-29.0) == ()


def test_another_python():
    hosts = {"alpha": [3, 13, 5], "beta": [3, 11, 2], "gamma": [3, 11, 9]}
    facts = {name: FACTS | {"python": python, "place": name} for name, python in hosts.items()}
    problems = judge(facts, dict.fromkeys(facts, 0.0), 0)
    text, fix = "Python 3.13.5, the others 3.11.2", 'python = "python3.11" for alpha'
    assert problems == {"alpha": (Problem(text, fix, 76),), "beta": (), "gamma": ()}


def test_two_hosts_with_different_pythons():
    """The first of them is right."""
    facts = {"alpha": FACTS, "beta": FACTS | {"python": [3, 12, 0], "place": "beta"}}
    problems = judge(facts, dict.fromkeys(facts, 0.0), 0)
    assert problems["alpha"] == ()
    assert problems["beta"][0].problem == "Python 3.12.0, the others 3.11.2"


@pytest.mark.parametrize(
    ("changes", "code", "problem"),
    [
        ({"implementation": "pypy"}, 76, "its Python is pypy, not CPython"),
        ({"system": "FreeBSD"}, 76, "it runs FreeBSD, not Linux"),
        (
            {"unwritable": "/home is not writable for deploy", "disk_free": 0},
            73,
            "cannot write /home/deploy/.hostmesh: /home is not writable for deploy",
        ),
        (
            {"disk_free": 5_400_000, "needed": 40_000_000},
            73,
            "disk full: 5 MB free at /home/deploy/.hostmesh, 40 MB needed",
        ),
        ({"offset": 61.2}, 78, "its clock is 61 s ahead of this machine's"),
        ({"offset": -61.2}, 78, "its clock is 61 s behind this machine's"),
        ({"open_files": [64, 128]}, 78, "a process may open 128 files, 256 are needed"),
    ],
)
def test_what_is_wrong(changes, code, problem):
    (found,) = judged(**changes)
    assert (found.exit_code, found.problem) == (code, problem)


def test_one_host_by_two_names():
    problems = judge({"alpha": FACTS, "beta": FACTS}, {"alpha": 0.0, "beta": 0.0}, 0)
    text = "it is alpha once more, with the same user and root"
    fix = "remove beta, and raise `processes` of alpha"
    assert problems == {"alpha": (), "beta": (Problem(text, fix, 78),)}


def test_all_of_it_is_told_at_once():
    found = judged(offset=100.0, system="Darwin", unwritable="read-only", open_files=[1, 1])
    assert [each.exit_code for each in found] == [76, 73, 78, 78]
    with pytest.raises(HostsError) as caught:
        raise_problems("flights not deployed", {"alpha": (), "beta": found})
    assert caught.value.exit_code == 76
    assert list(caught.value.failures) == ["beta"]
    error = caught.value.failures["beta"]
    assert isinstance(error, VersionError)
    assert error.problem == "; ".join(each.problem for each in found)
    assert "nofile" in error.fix


def test_the_first_host_decides():
    problems = {
        "beta": (Problem("disk full", "", 73),),
        "alpha": (Problem("no Python", "", 76),),
    }
    with pytest.raises(HostsError) as caught:
        raise_problems("flights not deployed", problems)
    assert caught.value.exit_code == 73
    assert isinstance(caught.value.failures["beta"], CannotWriteError)


def test_no_problem_is_no_error():
    raise_problems("flights not deployed", {"alpha": (), "beta": ()})


def test_hosts_that_do_not_reach_each_other():
    reason = "timed out; a firewall may drop it"
    pairs = [
        Reach("alpha", "beta", "192.0.2.2:9000", None),
        Reach("beta", "alpha", "192.0.2.1:9000", reason),
        Reach("beta", "alpha", "192.0.2.1:9001", reason),
    ]
    problems = unreached(pairs)
    assert list(problems) == ["beta"]
    first, second = problems["beta"]
    assert first.problem == f"cannot reach alpha at 192.0.2.1:9000: {reason}"
    assert second.problem == f"cannot reach alpha at 192.0.2.1:9001: {reason}"
    assert first.exit_code == 69
    assert first.fix == "open the port on the way to alpha"
