"""Which keys each table of an inventory has, and what may stand there."""

from collections.abc import Mapping

from ctl.inventory import values
from ctl.inventory.values import Check

HOST_KEYS: Mapping[str, Check] = {
    "name": values.name,
    "transport": values.one_of("ssh", "local"),
    "ssh": values.ssh_target,
    "ssh_port": values.port,
    "user": values.login,
    "address": values.peer_host,
    "bind": values.listen_host,
    "mesh_port": values.port,
    "processes": values.whole_number,
    "python": values.text,
    "workdir": values.host_path,
    "root": values.root_path,
}

DEFAULTS_KEYS: Mapping[str, Check] = {
    key: check for key, check in HOST_KEYS.items() if key != "name"
}
"""Those of a host, but for the one that cannot be the same for two."""

DEPLOYMENT_KEYS: Mapping[str, Check] = {
    "name": values.name,
    "runtime": values.text,
    "workers": values.whole_number,
}
"""Those with one plain value."""

DEPLOYMENT_TABLES = ("requirements", "include", "env", "secrets", "recovery")
"""Those with several values."""

RECOVERY_KEYS: Mapping[str, Check] = {"store": values.text, "interval": values.seconds}

SECRET_KEYS: Mapping[str, Check] = {"env": values.variable, "file": values.path}

STOP_SIGNALS = ("SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2")
"""What asks a program to end in order, by custom."""

RUNTIMES: Mapping[str, Mapping[str, Check]] = {
    "engine": {
        "heartbeat_timeout": values.seconds,
        "assemble_timeout": values.seconds,
        "epoch_interval": values.epoch_seconds,
        "log_level": values.text,
    },
    "bytewax": {
        "mesh": values.one_of("relay", "direct"),
        "assemble_timeout": values.seconds,
        "snapshot_interval": values.seconds,
        "backup_interval": values.seconds,
        "api": values.yes_or_no,
        "api_port": values.port,
    },
    "pathway": {
        "mesh": values.one_of("relay", "direct"),
        "assemble_timeout": values.seconds,
    },
    "command": {
        "command": values.words,
        "ready": values.readiness,
        "ready_timeout": values.seconds,
        "restart": values.one_of("never", "on-failure"),
        "stop_signal": values.one_of(*STOP_SIGNALS),
        "mesh": values.one_of("relay", "direct"),
    },
}
"""By the name of a runtime, the further keys that it allows in `[deployment]`."""
