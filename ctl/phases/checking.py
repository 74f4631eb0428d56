"""Check: whether hosts are fit for a release, before anything is sent or stopped."""

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from ctl.errors import BY_EXIT_CODE, CtlError, HostsError
from ctl.inventory import Inventory, ProcessPlace
from ctl.phases.fleet import Fleet
from ctl.relaying import is_relayed, loopback_addresses
from ctl.reports import CheckRow, Problem, Reach
from ctl.runtimes import Runtime
from ctl.transport.session import Session
from engine.settings import Address

_VERSION, _CANNOT_WRITE, _UNREACHABLE, _CONFIGURATION = 76, 73, 69, 78

CLOCK_LIMIT_S = 30.0
"""Clocks that differ by more make logs and certificates useless."""

SPARE_BYTES = 32 << 20
"""Room for logs and states that a host must have beside the layers."""

FEWEST_FILES = 256
_DIAL_SECONDS = 5.0


def judge(
    facts: Mapping[str, Mapping[str, Any]],
    offsets: Mapping[str, float],
    needed_bytes: int | Mapping[str, int],
    python: tuple[int, int] | None = None,
) -> dict[str, tuple[Problem, ...]]:
    """Say what is wrong with each host.

    Args:
        facts: Of each host, by its name, as `ctl.remote.facts` gathers them.
        offsets: Seconds that the clock of each is ahead of ours.
        needed_bytes: Bytes that a release may take on a host, or on each by its name.
        python: Minor version that all hosts must have; if not given, that of most of them.
    """
    versions = {name: tuple(each["python"]) for name, each in facts.items()}
    usual = python or _usual(version[:2] for version in versions.values())
    problems: dict[str, tuple[Problem, ...]] = {}
    first: dict[str, str] = {}
    for name, each in facts.items():
        found = []
        if versions[name][:2] != usual:
            others = [version for version in versions.values() if version[:2] == usual]
            found.append(_other_python(name, versions[name], usual, others))
        if each["implementation"] != "cpython":
            text = f"its Python is {each['implementation']}, not CPython"
            found.append(Problem(text, f"set `python` of {name}", _VERSION))
        if each["system"] != "Linux":
            found.append(Problem(f"it runs {each['system']}, not Linux", "", _VERSION))
        if each["unwritable"]:
            text = f"cannot write {each['root']}: {each['unwritable']}"
            found.append(Problem(text, f"set `root` of {name} in the inventory", _CANNOT_WRITE))
        elif each["disk_free"] < (needed := _needed(needed_bytes, name)):
            free, wanted = each["disk_free"] / 1e6, needed / 1e6
            text = f"disk full: {free:,.0f} MB free at {each['root']}, {wanted:,.0f} MB needed"
            found.append(Problem(text, "free some space there", _CANNOT_WRITE))
        if abs(offsets[name]) > CLOCK_LIMIT_S:
            way = "ahead of" if offsets[name] > 0 else "behind"
            text = f"its clock is {abs(offsets[name]):.0f} s {way} this machine's"
            fix = "have both clocks set by NTP (timedatectl set-ntp true)"
            found.append(Problem(text, fix, _CONFIGURATION))
        hard = each["open_files"][1]
        if 0 <= hard < FEWEST_FILES:
            text = f"a process may open {hard} files, {FEWEST_FILES} are needed"
            fix = f"raise `nofile` of user {each['user']} in /etc/security/limits.conf"
            found.append(Problem(text, fix, _CONFIGURATION))
        twin = first.setdefault(each["place"], name)
        if twin != name:
            text = f"it is {twin} once more, with the same user and root"
            fix = f"remove {name}, and raise `processes` of {twin}"
            found.append(Problem(text, fix, _CONFIGURATION))
        problems[name] = tuple(found)
    return problems


def _needed(needed_bytes: int | Mapping[str, int], name: str) -> int:
    return needed_bytes if isinstance(needed_bytes, int) else needed_bytes[name]


def row(session: Session, engine: str, problems: tuple[Problem, ...]) -> CheckRow:
    """What is shown of one host."""
    facts = session.facts
    return CheckRow(
        session.host.name,
        ".".join(map(str, facts["python"])),
        engine,
        facts["disk_free"],
        session.clock_offset_s,
        facts["open_files"][1],
        problems,
    )


def reach(
    fleet: Fleet,
    inventory: Inventory,
    runtime: Runtime,
    held: Mapping[str, Iterable[tuple[int, bool]]],
) -> tuple[dict[str, tuple[Problem, ...]], tuple[Reach, ...]]:
    """Find out whether every host can listen on its mesh ports, and every other dial them.

    Ports that the deployment's own processes hold just now count as listened on, and as reached by
    hosts that have such processes: they are connected already.

    Args:
        fleet: Hosts that have answered.
        inventory: All hosts.
        runtime: What is to run there.
        held: Ports that the deployment holds already, by host, each with whether who listens
            there is ready for strangers; others are not dialed.

    Returns:
        What keeps hosts from listening, by host; and each pair that was tried.
    """
    relayed = is_relayed(inventory, runtime.mesh(inventory))
    # These have to be free on every host, and are dialed on none.
    inner = loopback_addresses(inventory) if relayed else ()
    own = {name: dict(held[name]) for name in _apart(fleet) if name in held}
    places = [each for each in inventory.processes if each.host.name in own]
    tried = [each for each in places if each.address.port not in own[each.host.name]]
    running = [each for each in places if own[each.host.name].get(each.address.port)]
    newcomers = {each.host.name for each in places if not own[each.host.name]}
    try:
        taken = _taken(fleet, inner, own)
        places_of = {each.id: runtime.listens(each, inventory) for each in tried}
        listening, problems = _listen(fleet, tried, places_of)
        for name, more in taken.items():
            problems[name] = (*problems.get(name, ()), *more)
        pairs = _dial(fleet, listening)
        pairs += _dial(fleet, running, newcomers, may_have_ended=True)
    finally:
        fleet.each(lambda session: session.ask("hush"))
    return problems, pairs


def _apart(fleet: Fleet) -> Iterable[str]:
    """The hosts, each but once if it is there by two names: what both listen at collides."""
    return {each.facts["place"]: name for name, each in reversed(fleet.sessions.items())}.values()


def raise_problems(problem: str, problems: Mapping[str, tuple[Problem, ...]]) -> None:
    """Raise what is wrong with hosts, if anything is.

    Raises:
        HostsError: With the first problem's exit code of each host, and the text of all.
    """
    failures: dict[str, CtlError] = {}
    for name, found in problems.items():
        if found:
            kind = BY_EXIT_CODE[found[0].exit_code]
            text = "; ".join(each.problem for each in found)
            failures[name] = kind(text, "; ".join(each.fix for each in found if each.fix))
    if failures:
        raise HostsError(problem, failures)


def unreached(pairs: Iterable[Reach]) -> dict[str, tuple[Problem, ...]]:
    """The pairs that failed, as problems of the hosts that dial."""
    problems: dict[str, tuple[Problem, ...]] = {}
    for pair in pairs:
        if pair.problem is not None:
            text = f"cannot reach {pair.to_host} at {pair.address}: {pair.problem}"
            found = Problem(text, f"open the port on the way to {pair.to_host}", _UNREACHABLE)
            problems[pair.from_host] = (*problems.get(pair.from_host, ()), found)
    return problems


def absent(failures: Mapping[str, CtlError]) -> dict[str, tuple[Problem, ...]]:
    """The hosts that have not answered, each with why."""
    return {name: (_lost(error),) for name, error in failures.items()}


def merged(
    inventory: Inventory, *found: Mapping[str, tuple[Problem, ...]]
) -> dict[str, tuple[Problem, ...]]:
    """All that is wrong with each host, in inventory order."""
    return {
        host.name: tuple(problem for each in found for problem in each.get(host.name, ()))
        for host in inventory.hosts
    }


def _taken(
    fleet: Fleet, inner: Sequence[Address], own: Mapping[str, Mapping[int, bool]]
) -> dict[str, tuple[Problem, ...]]:
    def listen(session: Session) -> list[tuple[Address, str | None]]:
        free = [each for each in inner if each.port not in own[session.host.name]]
        reasons = session.ask("listen", places=[list(each) for each in free]) if free else []
        return list(zip(free, reasons, strict=True))

    fix = "end what listens there, or rename the deployment, which moves its addresses"
    problems: dict[str, tuple[Problem, ...]] = {}
    hosts = [host for host in fleet.hosts if host.name in own]
    for name, answers in fleet.each(listen, hosts).results.items():
        for address, reason in answers:
            if reason is not None:
                text = f"{address}, where its mesh is relayed, is {reason}"
                found = Problem(text, fix, _UNREACHABLE)
                problems[name] = (*problems.get(name, ()), found)
    return problems


def _listen(
    fleet: Fleet, processes: list[ProcessPlace], where: Mapping[int, Address]
) -> tuple[list[ProcessPlace], dict[str, tuple[Problem, ...]]]:
    def listen(session: Session) -> list[tuple[ProcessPlace, str | None]]:
        own = [each for each in processes if each.host.name == session.host.name]
        wanted = [list(where[each.id]) for each in own]
        reasons = session.ask("listen", places=wanted) if wanted else []
        return list(zip(own, reasons, strict=True))

    outcome = fleet.each(listen)
    problems = absent(outcome.failures)
    listening = []
    for name, answers in outcome.results.items():
        for each, reason in answers:
            if reason is None:
                listening.append(each)
                continue
            text = f"mesh port {each.address.port} is {reason}"
            if not reason.startswith("in use"):
                text = f"cannot listen on {where[each.id].host}: {reason}"
            fix = f"set `mesh_port` or `bind` of {name} in the inventory"
            problems[name] = (*problems.get(name, ()), Problem(text, fix, _UNREACHABLE))
    return listening, problems


def _dial(
    fleet: Fleet,
    places: list[ProcessPlace],
    names: Container[str] | None = None,
    *,
    may_have_ended: bool = False,
) -> tuple[Reach, ...]:
    """Have all hosts, or some, dial places of the others."""

    def dial(session: Session) -> list[tuple[ProcessPlace, str | None]]:
        others = [each for each in places if each.host.name != session.host.name]
        dialed = [list(each.address) for each in others]
        reasons = session.ask("dial", places=dialed, timeout=_DIAL_SECONDS) if dialed else []
        return list(zip(others, reasons, strict=True))

    hosts = [host for host in fleet.hosts if names is None or host.name in names]
    pairs = [
        Reach(name, each.host.name, str(each.address), reason)
        for name, answers in fleet.each(dial, hosts).results.items()
        for each, reason in answers
        if not (may_have_ended and reason is not None and reason.startswith("refused"))
    ]
    return tuple(pairs)


def _usual(versions: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    """The version that most hosts have, the first of them if there are several."""
    counts = Counter(versions)
    return max(counts, key=lambda version: counts[version]) if counts else ()


def _other_python(
    name: str, version: tuple[int, ...], wanted: tuple[int, ...], others: list[tuple[int, ...]]
) -> Problem:
    text = f"Python {_dotted(version)}, the others {_dotted(others[0])}" if others else ""
    text = text or f"Python {_dotted(version)}, the dataflow was built with {_dotted(wanted)}"
    return Problem(text, f'python = "python{_dotted(wanted)}" for {name}', _VERSION)


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _lost(error: CtlError) -> Problem:
    return Problem(error.problem, error.fix, error.exit_code)
