"""Look at the host keys of hosts and bastions without logging in, and store those that are new.

What is behind a bastion can only be looked at through it, and it is not logged in to before its
own key is trusted.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ctl.errors import CtlError, HostsError, UnauthorisedError
from ctl.inventory.model import Host
from ctl.transport.ssh.config import Hop, route
from ctl.transport.ssh.hostkeys import HostKey, Judgement, Verdict
from ctl.transport.ssh.knownhosts import look_up, store
from ctl.transport.ssh.settings import SshSettings
from ctl.transport.ssh.verify import refusal

_MOST_AT_ONCE = 64


@dataclass(frozen=True)
class Offer:
    """A key that a server has shown, and what the known hosts say about it."""

    hop: Hop
    key: HostKey
    judgement: Judgement

    @property
    def is_new(self) -> bool:
        """Whether it can be stored."""
        return self.judgement.verdict in {Verdict.UNKNOWN, Verdict.BY_AUTHORITY}

    @property
    def is_refused(self) -> bool:
        """Whether it must not be trusted, whatever anybody says."""
        return self.judgement.verdict in {Verdict.CHANGED, Verdict.REVOKED}


@dataclass(frozen=True)
class Survey:
    """The keys that were shown.

    Args:
        offers: One for each server, in the order of the inventory.
        waiting: The hosts that are behind a bastion whose key is not known yet.
        failures: Why a host showed none, by its name.
    """

    offers: tuple[Offer, ...]
    waiting: tuple[Host, ...]
    failures: Mapping[str, CtlError]


class _SeenError(Exception):
    """Enough was seen; nobody logs in."""


def survey(hosts: Sequence[Host], settings: SshSettings) -> Survey:
    """Ask all hosts, and the bastions on the way, for their keys.

    Args:
        hosts: Those that are reached over SSH.
        settings: Of the connections.
    """
    with ThreadPoolExecutor(max_workers=_MOST_AT_ONCE) as threads:
        looks = list(threads.map(lambda host: _look(host, settings), hosts))
    offers = {offer.hop.key_name: offer for look in looks for offer in look.offers}
    return Survey(
        offers=tuple(offers.values()),
        waiting=tuple(host for look in looks for host in look.waiting),
        failures={name: error for look in looks for name, error in look.failures.items()},
    )


def trust(
    hosts: Sequence[Host],
    settings: SshSettings,
    show: Callable[[Sequence[Offer]], None],
    agree: Callable[[Sequence[Offer]], bool],
) -> tuple[Offer, ...]:
    """Have somebody look at the keys of all hosts, and store those that are new.

    Args:
        hosts: All of an inventory.
        settings: Of the connections.
        show: Shows keys; called again for what is behind bastions that were new.
        agree: Whether these new keys may be stored.

    Returns:
        What was stored.

    Raises:
        HostsError: If a key has changed or is revoked, and then none is stored of those that were
            shown with it; or if hosts were not reached.
        CannotWriteError: If a file cannot be written.
    """
    left = [host for host in hosts if host.transport == "ssh"]
    failures: dict[str, CtlError] = {}
    stored: list[Offer] = []
    shown: set[str] = set()
    while left:
        found = survey(left, settings)
        failures |= found.failures
        offers = [offer for offer in found.offers if offer.hop.key_name not in shown]
        shown |= {offer.hop.key_name for offer in offers}
        show(offers)
        refused = {
            offer.hop.name: refusal(offer.hop, offer.key, offer.judgement, settings.trust_command)
            for offer in offers
            if offer.is_refused
        }
        if refused:
            msg = "host keys that must not be trusted"
            raise HostsError(msg, refused, "none of the new keys was stored")
        new = [offer for offer in offers if offer.is_new]
        if new and not agree(new):
            msg = "no host key was stored"
            raise UnauthorisedError(msg)
        for offer in new:
            store(offer.hop, offer.key)
        stored += new
        left = list(found.waiting) if new else []
    if failures:
        msg = "hosts that showed no key"
        raise HostsError(msg, failures, "the keys of the others are known")
    return tuple(stored)


def _look(host: Host, settings: SshSettings) -> Survey:
    from ctl.transport.ssh.connect import connect

    offers: list[Offer] = []
    hops: tuple[Hop, ...] = ()

    def verify(hop: Hop, key: HostKey) -> None:
        offers.append(Offer(hop, key, look_up(hop, key)))
        if hop is hops[-1] or offers[-1].judgement.verdict is not Verdict.KNOWN:
            raise _SeenError

    try:
        hops = route(host, settings.config)
        connect(hops, settings, verify)
    except _SeenError:
        is_last = offers[-1].hop is hops[-1]
        return Survey(tuple(offers), () if is_last else (host,), {})
    except CtlError as error:
        return Survey(tuple(offers), (), {host.name: error})
    msg = f"{host.name} showed no key"
    raise AssertionError(msg)
