import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from ctl.certificates import mint
from ctl.inventory import DeploymentSettings, Host, Inventory
from ctl.layers import code_layer, engine_layer
from ctl.plan import Plan
from ctl.remote.errors import RemoteError
from ctl.remote.root import prepare
from ctl.remote.staging import stage
from ctl.runtimes import Layers, find_runtime
from ctl.runtimes.engine import EngineRuntime
from tests.ctl.remote.conftest import machine, marking
from tests.ctl.remote.machine import log
from tests.engine.running import eventually, free_ports

__all__ = ["machine", "marking"]

pytestmark = pytest.mark.filterwarnings("ignore:subprocess .* is still running")

FOREVER = """
import os
from datetime import timedelta
from engine.dataflow import Dataflow
from engine.connectors.stdio import StdOutSink
from engine.inputs import DynamicSource, StatelessSourcePartition
import engine.operators as op


class Ticks(StatelessSourcePartition):
    def next_batch(self):
        return []

    def next_awake(self):
        from datetime import datetime, UTC
        return datetime.now(UTC) + timedelta(seconds=0.05)


class Source(DynamicSource):
    def build(self, step_id, worker_index, worker_count):
        return Ticks()


def get(name):
    print(name, os.environ["ODD"], open("data/in put.csv").read(), flush=True)
    flow = Dataflow("ticks")
    stream = op.input("in", flow, Source())
    op.output("out", stream, StdOutSink())
    return flow
"""

FINITE = """
import engine.operators as op
from engine.dataflow import Dataflow
from engine.connectors.stdio import StdOutSink
from engine.testing import TestingSource

flow = Dataflow("finite")
stream = op.input("in", flow, TestingSource([1, 2, 3]))
op.output("out", op.map("double", stream, lambda item: str(10 // (item - %d))), StdOutSink())
"""


def are_free(port, count):
    """Whether nobody listens on a port and those behind it."""
    with ExitStack() as stack:
        try:
            for each in range(port, port + count):
                stack.enter_context(socket.create_server(("127.0.0.1", each)))
        except (OSError, OverflowError):
            return False
        return True


def put(machine, layer):
    for entry in layer.entries:
        path = machine.root.layer(layer.digest) / entry.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(entry.read()))
    return layer.digest


@pytest.fixture
def planned(machine, tmp_path):
    """Puts a flow and the engine on this machine, and says what is to run."""
    prepare()
    source = tmp_path / "sou rce"
    (source / "data").mkdir(parents=True)
    (source / "data" / "in put.csv").write_text("content")

    def plan(text, flow="fl ow.py", *, address="127.0.0.1", processes=2, **more):
        (source / "fl ow.py").write_text(text)
        code = code_layer(flow, ["data/*"], source, source)
        engine = engine_layer()
        port = next(port for port in free_ports(50) if are_free(port, processes))
        deployment = DeploymentSettings("flights", env={"ODD": "$(x) 'ä"}, **more)
        host = Host("here", "local", address=address, mesh_port=port, processes=processes)
        inventory = Inventory(Path("inventory.toml"), deployment, (host,))
        digests = Layers(put(machine, code.layer), machine.agent, put(machine, engine))
        layers = (engine, code.layer)
        runtime = find_runtime("engine")
        return Plan(inventory, runtime, code.flow, layers, digests, included=code.included)

    return plan


def staged(machine, plan, files=None):
    deployment = machine.deployment()
    (host,) = plan.inventory.hosts
    launch = plan.launch(host, "L1")
    stage(deployment, launch, {"mesh-secret": "s3cret", **(files or {})}, {})
    return deployment


def start(machine, plan, files=None):
    deployment = staged(machine, plan, files)
    deployment.begin_switch("L1")
    deployment.switch("L1", 10.0, lambda: True)
    return deployment, deployment.ready("L1", 60.0, lambda: True, lambda _: None)


def test_two_processes_of_a_cluster(machine, planned):
    options = {"heartbeat_timeout": 7.0, "log_level": "DEBUG"}
    made = planned(FOREVER, "fl ow.py:get('it''s $(odd)')", options=options, workers=2)
    deployment, failed = start(machine, made)
    assert failed is None, failed["tail"]
    deployment.commit("L1")
    one, other = deployment.status()["processes"]
    assert (one["state"], other["state"]) == ("running", "running")
    assert one["items_in"] == 0
    assert one["workers"] == 2
    assert ("o", "its $(odd) $(x) 'ä content") in log(deployment.process(0))
    arguments = Path(f"/proc/{one['pid']}/cmdline").read_text()
    assert "s3cret" not in arguments
    deployment.stop(20.0)
    for ended in deployment.status()["processes"]:
        # Who has heard of the end from its peer may be done before the signal comes, or just then.
        assert ended["state"] in ("stopped", "finished")
        assert (ended["exit_code"], ended["signal"]) in ((0, None), (None, 15))


def test_a_mesh_with_certificates(machine, planned):
    """The addresses are loopback, so that one machine is enough."""
    made = planned(FOREVER, "fl ow.py:get('x')")
    minted = mint("flights", [0, 1])
    files = {"tls/ca.pem": minted.authority}
    for number, (certificate, key) in minted.processes.items():
        files |= {f"tls/{number}.pem": certificate, f"tls/{number}.key": key}
    encrypted = type("Encrypted", (Plan,), {"encrypted": True})
    fields = {name: getattr(made, name) for name in made.__dataclass_fields__}
    deployment, failed = start(machine, encrypted(**fields), files)
    assert failed is None, failed["tail"]
    (words, _) = [each["argv"] for each in deployment.launch("L1")["processes"]]
    assert words[words.index("--tls-cert") + 1].endswith("launches/L1/tls/0.pem")


def test_a_finite_flow(machine, planned):
    deployment, failed = start(machine, planned(FINITE % 5, processes=1))
    assert failed is None
    eventually(lambda: not deployment.process(0).supervised, "the end")
    assert deployment.process(0).state().state == "finished"
    assert [line for kind, line in log(deployment.process(0)) if kind == "o"] == ["-3", "-4", "-5"]


def test_a_flow_that_fails(machine, planned):
    made = planned(FINITE % 2, processes=1)
    deployment, failed = start(machine, made)
    if failed is None:
        # It was done, by the time that it was asked.
        eventually(lambda: not deployment.process(0).supervised, "the end")
        failed = deployment.process(0).state()._asdict()
    assert (failed["state"], failed["exit_code"]) == ("failed", 70)
    cause = made.runtime.cause(failed["tail"])
    assert cause.startswith("error: ")
    assert "finite.double" in cause
    assert "ZeroDivisionError" in cause


def test_what_is_missing_is_found_before_anything_runs(machine, planned):
    made = planned("import no_such_module_anywhere\n")
    with pytest.raises(RemoteError, match="no_such_module_anywhere") as caught:
        staged(machine, made)
    assert caught.value.exit_code == 65


@pytest.mark.parametrize(
    ("tail", "cause"),
    [
        ("", ""),
        ("just words", "just words"),
        ("error: why", "error: why"),
        ("noise\nerror: first\n  more\nerror: last\n  at step x", "error: last\n  at step x"),
        ("an error: not at the start of a line", "an error: not at the start of a line"),
    ],
)
def test_the_cause_comes_last(tail, cause):
    assert EngineRuntime().cause(tail) == cause
