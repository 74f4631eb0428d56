"""What a prune says at its end."""

from dataclasses import asdict
from typing import Any

from ctl.reports import Pruned
from ctl.status import SCHEMA
from ctl.ui.quantities import count, size
from ctl.ui.table import table


def prune_table(report: Pruned) -> str:
    """What each host had that nobody uses."""
    rows: list[tuple[str, str, str | None, str | None]] = []
    for host in report.hosts:
        rows += [
            (host.host, layer.kind, layer.digest[:12], size(layer.bytes)) for layer in host.layers
        ]
        if host.releases:
            rows.append((host.host, count(host.releases, "release"), None, None))
    return table(("HOST", "WHAT", "DIGEST", "SIZE"), rows)


def prune_summary(report: Pruned) -> str:
    """One line for all hosts."""
    layers = sum(len(host.layers) for host in report.hosts)
    hosts = count(len(report.hosts), "host")
    if not layers and not any(host.releases for host in report.hosts):
        return f"nothing to remove on {hosts}"
    total = size(sum(layer.bytes for host in report.hosts for layer in host.layers))
    verb = "would be removed from" if report.dry_run else "removed from"
    return f"{count(layers, 'layer')}, {total}, {verb} {hosts}"


def prune_json(report: Pruned) -> dict[str, Any]:
    """The same for machines."""
    return {"schema": SCHEMA, **asdict(report)}
