"""Hosts that are containers: each with its own network address, disk, processes and clock."""

import io
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from ipaddress import IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING

from tests.fleet import images
from tests.fleet.hosts import Direction, Fleet, Host, Ran, completed, name_of
from tests.fleet.keys import Key
from tests.fleet.runs import FOLDER, Run, abandoned
from tests.fleet.starting import in_parallel, wait_for_sshd

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container
    from docker.models.networks import Network

# Set aside for tests of networks by RFC 2544, so it is part of nobody's network.
NETWORKS = IPv4Network("198.18.0.0/15")
HOME = "/home/deploy"
FILLER = f"{HOME}/.filler"
CLOCK = "/etc/faketimerc"
LOGS = 'for log in ~/.hostmesh/deployments/*/*/log*; do echo "--- $log"; tail -n 200 "$log"; done'
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
        return f"no containers: no Docker Engine answers ({error})"
    reason = images.unmakeable()
    if reason and not all(images.made(client, release) for release in images.RELEASES.values()):
        client.close()
        return f"no containers: no image of a host, and {reason}"
    return client


class ContainerHost(Host):
    """A container, and the network it is part of."""

    def __init__(
        self,
        name: str,
        address: str,
        python: str,
        key: Key,
        container: "Container",
        network: "Network",
    ) -> None:
        self.name = name
        self.address = address
        self.port = 22
        self.user = "deploy"
        self.python = f"python{python}"
        self.key = key
        self._container = container
        self._network = network

    def exec(self, *words: str | Path, user: str = "deploy", check: bool = True) -> Ran:
        home = HOME if user == "deploy" else "/root"
        code, (out, err) = self._container.exec_run(
            [str(word) for word in words],
            user=user,
            workdir=home,
            environment={"HOME": home},
            demux=True,
        )
        texts = ((each or b"").decode(errors="replace") for each in (out, err))
        return completed(words, code, *texts, check=check)

    def kill(self) -> None:
        self._container.kill()
        self._container.wait()

    def start(self) -> None:
        self._container.start()
        wait_for_sshd(self)

    def pause(self) -> None:
        self._container.pause()

    def resume(self) -> None:
        self._container.unpause()

    def processes(self) -> list[str]:
        rows = self._container.top(ps_args="-eo pid,args")["Processes"] or []
        return [args for _, args in rows if not args.startswith(HIDDEN)]

    def cut_off(self) -> None:
        self._network.disconnect(self._container)

    def reconnect(self) -> None:
        self._network.connect(self._container, ipv4_address=self.address)

    def drop_packets(
        self,
        direction: Direction = "both",
        *,
        peer: Host | str | None = None,
        port: int | None = None,
    ) -> None:
        ways = ("in", "out") if direction == "both" else (direction,)
        rules = [
            "add table inet faults",
            "add chain inet faults in { type filter hook input priority 0; }",
            "add chain inet faults out { type filter hook output priority 0; }",
        ]
        for way in ways:
            theirs, ours = ("saddr", "dport") if way == "in" else ("daddr", "sport")
            rule = f"add rule inet faults {way}"
            if peer is not None:
                rule += f" ip {theirs} {peer.address if isinstance(peer, Host) else peer}"
            if port is not None:
                rule += f" tcp {ours} {port}"
            rules.append(f"{rule} drop")
        self.exec("nft", "; ".join(rules), user="root")

    def pass_packets(self) -> None:
        self.exec("nft", "add table inet faults; delete table inet faults", user="root")

    def fill_disk(self) -> None:
        where = self.exec("stat", "--file-system", "--format=%T", HOME).stdout.strip()
        assert where == "tmpfs", "only a fleet with `disk_mib` has disks that may be filled"
        full = self.exec("dd", "if=/dev/zero", f"of={FILLER}", "bs=64k", check=False)
        assert "No space left" in full.stderr, full.stderr

    def free_disk(self) -> None:
        self.exec("rm", "-f", FILLER)

    def shift_clock(self, seconds: int) -> None:
        if seconds:
            # The loader puts in the architecture's folder.
            preload = "echo '/usr/$LIB/faketime/libfaketime.so.1' > /etc/ld.so.preload"
            script = f"echo {seconds:+d}s > {CLOCK}; {preload}"
        else:
            script = f"rm -f /etc/ld.so.preload {CLOCK}"
        self.exec("sh", "-c", script, user="root")

    def logs(self) -> str:
        self._container.reload()
        state = self._container.status
        sshd = self._container.logs(tail=50).decode(errors="replace")
        if state == "running":
            rest = "\n".join(self.processes()) + "\n" + self._files()
        else:
            rest = self._files_at_rest()
        return f"{self.address}  {state}\n{rest}--- sshd\n{sshd}"

    def _files(self) -> str:
        return self.exec("sh", "-c", LOGS, check=False).stdout

    def _files_at_rest(self) -> str:
        import docker

        try:
            blocks, _ = self._container.get_archive(f"{HOME}/.hostmesh/deployments")
        except docker.errors.NotFound:
            return ""
        text = ""
        with tarfile.open(fileobj=io.BytesIO(b"".join(blocks))) as archive:
            for member in archive:
                if member.isfile() and Path(member.name).name.startswith("log"):
                    file = archive.extractfile(member)
                    assert file
                    lines = file.read().decode(errors="replace").splitlines()[-200:]
                    text += "\n".join([f"--- {member.name}", *lines, ""])
        return text


class Containers:
    """Makes fleets of containers, for a run of the tests."""

    def __init__(self, client: "DockerClient", run: Run) -> None:
        self._client = client
        self._run = run

    def make_images(self) -> None:
        """Have all images made, so that no test waits for one."""
        in_parallel(
            lambda each: images.make(self._client, each, self._run), images.RELEASES.values()
        )

    def reap(self) -> None:
        """Remove what runs that have ended have left."""
        label = {"label": FOLDER}
        containers = self._client.containers.list(all=True, filters=label, ignore_removed=True)
        in_parallel(_remove, [each for each in containers if abandoned(each.labels)])
        for network in self._client.networks.list(filters=label):
            if abandoned(network.attrs["Labels"]):
                _remove(network)

    @property
    def python(self) -> str:
        """The version that hosts have if a test asks for none."""
        return "3.11"

    @contextmanager
    def fleet(self, pythons: Sequence[str], folder: Path, disk_mib: int | None) -> Iterator[Fleet]:
        """Have a host for each version of Python, on a network of their own."""
        network, subnet = self._network()
        made: list[Container] = []

        def host(number: int) -> ContainerHost:
            name, python = name_of(number), pythons[number]
            host_key, address = Key.new(), str(subnet[10 + number])
            point = self._client.api.create_endpoint_config(ipv4_address=address)
            container = self._client.containers.create(
                images.tag(images.RELEASES[python]),
                hostname=name,
                init=True,
                cap_add=["NET_ADMIN"],
                environment={"HOST_KEY": host_key.private, "AUTHORIZED_KEY": key.public},
                tmpfs={HOME: f"exec,uid=1000,gid=1000,mode=0755,size={disk_mib}m"}
                if disk_mib
                else None,
                network=network.name,
                networking_config={network.name: point},
                labels=self._run.labels,
            )
            made.append(container)
            container.start()
            started = ContainerHost(name, address, python, host_key, container, network)
            wait_for_sshd(started)
            return started

        key = Key.new()
        try:
            hosts = in_parallel(host, range(len(pythons)))
            fleet = Fleet(tuple(hosts), folder, str(subnet[1]), key)
            fleet.write()
            yield fleet
        finally:
            in_parallel(_remove, made)
            _remove(network)

    def _network(self) -> "tuple[Network, IPv4Network]":
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
