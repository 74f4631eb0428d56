"""Hosts that are containers: each with its own network address, disk and processes."""

import gc
import io
import json
import tarfile
import tempfile
import time
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from ipaddress import IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.fleet import images, old_python, on_host
from tests.fleet.hosts import FleetHost, Pool, Process, Ran, Wish
from tests.fleet.keys import Key
from tests.fleet.runs import FOLDER, Run, abandoned
from tests.fleet.starting import in_parallel, wait_for_sshd

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container
    from docker.models.networks import Network

# Set aside for tests of networks by RFC 2544, so it is part of nobody's network.
NETWORKS = IPv4Network("198.18.0.0/15")
HOME = Path("/home/deploy")
FILLER = HOME / ".filler"
OLD_PYTHON_MOUNT = "/opt/old-python"
RESTART_SSHD = """\
listener=$(cat /run/sshd.pid)
for each in /proc/[0-9]*; do
    pid=${each#/proc/}
    [ "$pid" = "$listener" ] || ! grep -q ^sshd "$each/cmdline" 2>&- || kill -KILL "$pid"
done
kill -HUP "$listener"
"""
# What belongs to the host itself.
HIDDEN = ("/sbin/docker-init", "/usr/sbin/sshd", "sshd:", "sshd-session:", "sshd-auth:")


def engine() -> "DockerClient | str":
    """The engine that makes the containers, or why there is none."""
    try:
        import docker
    except ModuleNotFoundError:
        return "no containers: the Python package docker is missing"
    try:
        # Importing an image takes a while on a slow disk.
        client = docker.from_env(timeout=300)
    except docker.errors.DockerException as error:
        reason = f"no containers: no Docker Engine answers ({error})"
    else:
        return _unless_unmakeable(client)
    with warnings.catch_warnings():
        # The library leaves the socket that was refused to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    return reason


def _unless_unmakeable(client: "DockerClient") -> "DockerClient | str":
    if reason := images.unmakeable(client):
        client.close()
        return f"no containers: {reason}"
    return client


class DockerHost(FleetHost):
    """A container, and the network it is part of."""

    backend = "docker"
    port = 22
    user = "deploy"
    home = HOME

    def __init__(
        self,
        wish: Wish,
        address: str,
        python: str,
        key: Key,
        container: "Container",
        network: "Network",
    ) -> None:
        self.wish = wish
        self.name = wish.name
        self.address = address
        self.python = f"python{python}"
        self.key = key
        self.changed = False
        """Whether root may have left something that cleaning does not find."""
        self._container = container
        self._network = network
        self._is_cut = False
        self._clean_since: float | None = None

    def attempt(self, *words: str | Path, user: str = "deploy") -> Ran:
        self.changed |= user == "root"
        return self._exec(*words, user=user)

    def _exec(self, *words: str | Path, user: str = "root") -> Ran:
        home = str(HOME) if user == "deploy" else "/root"
        ran = self._container.exec_run(
            [str(word) for word in words],
            user=user,
            workdir=home,
            environment={"HOME": home},
            demux=True,
        )
        assert isinstance(ran.output, tuple)
        assert ran.exit_code is not None
        out, err = ((each or b"").decode(errors="replace") for each in ran.output)
        return Ran(list(words), ran.exit_code, out, err)

    def _inspect(self, *words: str | Path) -> str:
        ran = self._exec("python3", "-I", "-c", Path(on_host.__file__).read_text(), *words)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def processes(self) -> list[Process]:
        rows = json.loads(self._inspect("processes"))
        processes = (Process(pid, parent, user, tuple(argv)) for pid, parent, user, argv in rows)
        return [each for each in processes if not each.argv[0].startswith(HIDDEN)]

    def kill(self) -> None:
        self._container.kill()
        self._container.wait()

    def start(self) -> None:
        self._container.start()
        wait_for_sshd(self)

    def pause(self) -> None:
        self._container.pause()

    def unpause(self) -> None:
        self._container.unpause()

    def restart_sshd(self) -> None:
        ran = self._exec("sh", "-c", RESTART_SSHD)
        assert ran.returncode == 0, ran.stderr
        wait_for_sshd(self)

    def cut(self) -> None:
        self._network.disconnect(self._container)
        self._is_cut = True

    def reconnect(self) -> None:
        self._network.connect(self._container, ipv4_address=self.address)
        self._is_cut = False

    def drop(
        self,
        *,
        port: int | None = None,
        from_: FleetHost | str | None = None,
        both_ways: bool = False,
    ) -> None:
        rule, back = 'iifname != "lo"', 'oifname != "lo"'
        if from_ is not None:
            address = from_.address if isinstance(from_, FleetHost) else from_
            rule += f" ip saddr {address}"
            back += f" ip daddr {address}"
        if port is not None:
            rule += f" tcp dport {port}"
        rules = [
            "add table inet faults",
            "add chain inet faults in { type filter hook input priority 0; }",
            f"add rule inet faults in {rule} drop",
        ]
        if both_ways or (port is None and from_ is None):
            rules += [
                "add chain inet faults out { type filter hook output priority 0; }",
                f"add rule inet faults out {back} drop",
            ]
        self._nft(*rules)

    def undrop(self) -> None:
        self._nft("add table inet faults", "delete table inet faults")

    def _nft(self, *commands: str) -> None:
        ran = self._exec("nft", "; ".join(commands))
        assert ran.returncode == 0, ran.stderr

    def fill_disk(self) -> None:
        assert self.wish.disk, "only hosts of a fleet with `disk` have disks that may be filled"
        full = self._exec("dd", "if=/dev/zero", f"of={FILLER}", "bs=4k")
        assert "No space left" in full.stderr, full.stderr

    def free_disk(self) -> None:
        self._exec("rm", "-f", FILLER)

    def old_python(self) -> str:
        if old_python.folder() is None:
            pytest.skip(old_python.missing())
        return "old-python"

    def clean(self) -> None:
        """Undo all verbs, end all processes and empty the home."""
        self._container.reload()
        state = self._container.status
        if state == "paused":
            self.unpause()
        if self._is_cut:
            self.reconnect()
        if state == "exited":
            self.start()
        self._clean_since = time.time()
        ran = self._exec("/usr/local/sbin/clean")
        assert ran.returncode == 0, f"cleaning {self.name} ended with {ran}"
        wait_for_sshd(self)

    def remove(self) -> None:
        """Be gone."""
        _remove(self._container)

    def logs(self) -> str:
        self._container.reload()
        state = self._container.status
        sshd = self._container.logs(since=self._clean_since).decode(errors="replace")
        if state == "running":
            processes = "\n".join(f"{pid} {' '.join(argv)}" for pid, _, _, argv in self.processes())
            rest = f"{processes}\n{self._inspect('tree', HOME / '.hostmesh')}"
        else:
            rest = self._tree_at_rest()
        return f"{self.address}  {state}\n{rest}\n--- sshd\n{sshd}"

    def _tree_at_rest(self) -> str:
        from docker.errors import NotFound

        try:
            blocks, _ = self._container.get_archive(str(HOME / ".hostmesh"))
        except NotFound:
            return ""
        with (
            tempfile.TemporaryDirectory() as folder,
            tarfile.open(fileobj=io.BytesIO(b"".join(blocks))) as archive,
        ):
            archive.extractall(folder, filter="data")
            return on_host.tree(Path(folder) / ".hostmesh")


class DockerPool(Pool):
    """Keeps containers from test to test, since they take a while to start."""

    def __init__(
        self, client: "DockerClient", run: Run, notice: Callable[[str], None] = print
    ) -> None:
        self.key = Key.new()
        self._client = client
        self._run = run
        self._notice = notice
        self._network, self._subnet = self._make_network()
        self.operator = str(self._subnet[1])
        self._addresses = deque(str(self._subnet[number]) for number in range(10, 250))
        self._made: list[Container] = []
        self._idle: dict[Wish, list[DockerHost]] = {}

    def reap(self) -> None:
        """Remove what runs that have ended have left."""
        found = self._client.containers.list(
            all=True, filters={"label": FOLDER}, ignore_removed=True
        )
        in_parallel(_remove, [each for each in found if abandoned(each.labels)])
        for network in self._client.networks.list(filters={"label": FOLDER}):
            if abandoned(network.attrs["Labels"]):
                _remove(network)

    def close(self) -> None:
        """Remove all containers and the network."""
        in_parallel(_remove, self._made)
        _remove(self._network)

    def take(self, wishes: Sequence[Wish]) -> list[FleetHost]:
        for release in sorted({images.RELEASES[wish.python or "3.11"] for wish in wishes}):
            images.make(self._client, release, self._run, self._notice)
        return list(in_parallel(self._take, wishes))

    def _take(self, wish: Wish) -> FleetHost:
        idle = self._idle.get(wish)
        return idle.pop() if idle else self._make(wish)

    def give_back(self, hosts: Sequence[FleetHost]) -> None:
        in_parallel(self._give_back, hosts)

    def _give_back(self, host: FleetHost) -> None:
        assert isinstance(host, DockerHost)
        if host.changed:
            host.remove()
            self._addresses.append(host.address)
            return
        host.clean()
        self._idle.setdefault(host.wish, []).append(host)

    def _make(self, wish: Wish) -> DockerHost:
        python = wish.python or "3.11"
        host_key, address = Key.new(), self._addresses.popleft()
        point = self._client.api.create_endpoint_config(ipv4_address=address)
        old = old_python.folder()
        container = self._client.containers.create(
            images.tag(images.RELEASES[python]),
            hostname=wish.name,
            init=True,
            cap_add=["NET_ADMIN"],
            environment={
                "HOST_KEY": host_key.private,
                "AUTHORIZED_KEY": self.key.public,
                "SSHD_OPTIONS": "\n".join(wish.options),
            },
            tmpfs={str(HOME): f"exec,uid=1000,gid=1000,mode=0755,size={wish.disk}"}
            if wish.disk
            else {},
            # A disk of its own, since the image's may be slow to write to.
            volumes=[
                *([f"{old}:{OLD_PYTHON_MOUNT}:ro"] if old else []),
                *([] if wish.disk else [str(HOME)]),
            ],
            network=self._network.name,
            networking_config={str(self._network.name): point},
            labels=self._run.labels,
        )
        self._made.append(container)
        container.start()
        made = DockerHost(wish, address, python, host_key, container, self._network)
        wait_for_sshd(made)
        return made

    def _make_network(self) -> "tuple[Network, IPv4Network]":
        from docker.errors import APIError
        from docker.types import IPAMConfig, IPAMPool

        for subnet in NETWORKS.subnets(new_prefix=24):
            pool = IPAMPool(str(subnet), gateway=str(subnet[1]))
            try:
                network = self._client.networks.create(
                    f"hostmesh-test-{subnet[0]}",
                    ipam=IPAMConfig(pool_configs=[pool]),
                    # Hosts need no internet, so they have none.
                    internal=True,
                    labels=self._run.labels,
                )
            except APIError as error:
                if "overlaps" not in str(error):
                    raise
            else:
                return network, subnet
        raise RuntimeError(f"no network is free in {NETWORKS}")


def _remove(made: "Container | Network") -> None:
    """Remove it; another run may have been faster."""
    from docker.errors import NotFound
    from docker.models.containers import Container

    with suppress(NotFound):
        if isinstance(made, Container):
            made.remove(force=True, v=True)
        else:
            made.remove()
