"""How long after a failover the first write is acknowledged: ``python benchmarks/reroute.py``.

A real cluster in the lab (three sites, Patroni with ttl 20 and loop_wait 5, quorum commit) loses
its primary's host, several times. On an application's host of another site run side by side a
``Storage``, a plain ``psycopg_pool`` and a prober (``reroute_client.py``). What is shown is the
time from the prober's first acknowledged write, which is when the new primary accepts, to the first
acknowledged write of each client, and what else the clients' callers saw.
"""

from __future__ import annotations

import argparse
import json
import random
import secrets
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import figures

from chaos.drill import setup
from chaos.drill.loads import DBNAME, ROLE
from chaos.scenarios.model import WorkloadSpec
from chaos.wording import counted
from cluster.binaries import find_binaries
from cluster.boot import raise_cluster
from cluster.patroni.config import POSTGRES_PORT, REST_PORT
from cluster.raised import RaisedCluster
from cluster.substrates.base import Process
from cluster.substrates.lab.enter import run_sealed
from cluster.substrates.lab.lab import Lab
from cluster.topology.load import load_builtin

CLIENTS = ("prober", "storage", "pool")
POLL_S = 0.02
STEADY_S = (1.0, 6.0)
"""Before a host is lost, drawn anew each time: Patroni's loops are met at all phases."""

SERVED_TIMEOUT_S = 60.0
POOL_TIMEOUT_S = 30.0
"""How much longer than the storage layer the pool may take before it is given up."""

STOP_TIMEOUT_S = 5.0
WHOLE_TIMEOUT_S = 90.0

FOUND = "found.json"


@dataclass(kw_only=True)
class Client:
    """What one client printed in one failover."""

    name: str
    log: Path
    lines: list[dict[str, Any]] = field(default_factory=list)

    def read(self) -> None:
        """Everything up to now."""
        text = self.log.read_text() if self.log.exists() else ""
        whole = text[: text.rfind("\n") + 1].splitlines()
        self.lines = [json.loads(line) for line in whole if line.startswith("{")]

    def first_ok_s(self, after_s: float) -> float | None:
        """When the first write that ended after ``after_s`` was acknowledged."""
        return self.first_s("ok", after_s)

    def first_s(self, what: str, after_s: float) -> float | None:
        """When that happened for the first time after ``after_s``."""
        self.read()
        times = [one["t_s"] for one in self.lines if one["what"] == what and one["t_s"] > after_s]
        return min(times) if times else None

    def count(self, what: str) -> int:
        """How often its callers saw that."""
        return sum(one["what"] == what for one in self.lines)


@dataclass(frozen=True, kw_only=True)
class Failover:
    """One. Times are in seconds since the host was lost; None: not within the time given."""

    promoted_s: float
    accepts_s: float
    served_s: dict[str, float | None]
    errors: dict[str, int]
    unknown: dict[str, int]


async def wait_for(condition: Callable[[], object], timeout_s: float) -> bool:
    """Whether it came true in time."""
    with anyio.move_on_after(timeout_s):
        while not condition():
            await anyio.sleep(POLL_S)
    return bool(condition())


async def failover(cluster: RaisedCluster, lab: Lab, folder: Path, number: int) -> Failover:
    """Lose the primary's host, watch, and make the cluster whole again."""
    password = secrets.token_urlsafe(18)
    await setup.prepare(cluster, password, WorkloadSpec())
    lost = await cluster.primary()
    assert lost is not None, "the cluster is whole"
    topology = lab.topology
    host = next(
        one.name
        for one in topology.hosts_with("client")
        if topology.site_of(one.name) != topology.site_of(lost)
    )
    clients = [Client(name=name, log=folder / f"{host}.{name}-{number}.log") for name in CLIENTS]
    config = config_for(lab, password, lost=lost, tag=str(number))
    script = str(Path(__file__).with_name("reroute_client.py"))
    for client in clients:
        argv = (sys.executable, script, client.name)
        unit = Process(name=f"{client.name}-{number}", argv=argv, stdin=json.dumps(config) + "\n")
        await lab.start_unit(host, unit)
    for client in clients[1:]:
        if not await wait_for(partial(client.first_ok_s, 0.0), SERVED_TIMEOUT_S):
            raise RuntimeError(f"{client.name} does not write: {client.log.read_text()}")
    await anyio.sleep(random.uniform(*STEADY_S))
    lost_s = time.monotonic()
    await lab.kill_host(lost)
    gone_s = time.monotonic()
    for client, timeout_s in zip(
        clients, (SERVED_TIMEOUT_S, SERVED_TIMEOUT_S, POOL_TIMEOUT_S), strict=True
    ):
        await wait_for(partial(client.first_ok_s, gone_s), timeout_s)
    served = {client.name: client.first_ok_s(gone_s) for client in clients}
    for client in clients:
        await lab.stop_unit(host, f"{client.name}-{number}", timeout_s=STOP_TIMEOUT_S)
        client.read()
    await lab.start_host(lost)
    await cluster.start_services(lost)
    missing = await cluster.wait_whole(timeout_s=WHOLE_TIMEOUT_S)
    if missing is not None:
        raise RuntimeError(f"the cluster does not become whole again: {missing}")
    promoted_s, accepts_s = clients[0].first_s("promoted", gone_s), served.pop("prober")
    if promoted_s is None or accepts_s is None:
        raise RuntimeError("no node took a write of the prober")
    return Failover(
        promoted_s=promoted_s - lost_s,
        accepts_s=accepts_s - lost_s,
        served_s={k: None if v is None else v - lost_s for k, v in served.items()},
        errors={client.name: client.count("error") for client in clients[1:]},
        unknown={client.name: client.count("unknown") for client in clients[1:]},
    )


def config_for(lab: Lab, password: str, *, lost: str, tag: str) -> dict[str, Any]:
    """What every client is told."""
    members = [
        {
            "name": node,
            "rest_url": f"http://{lab.address(node)}:{REST_PORT}",
            "host": lab.address(node),
            "port": POSTGRES_PORT,
        }
        for node in lab.topology.nodes
    ]
    probed = [member for member in members if member["name"] != lost]
    access = {"user": ROLE, "password": password, "dbname": DBNAME}
    return access | {"members": members, "probed": probed, "tag": tag}


async def inside(folder: Path, runs: int) -> None:
    """In the lab: raise the cluster, lose a host ``runs`` times, leave what was found."""
    found: list[dict[str, Any]] = []
    stock = load_builtin("three-sites").with_settings(witness=False)
    async with Lab(stock, logs=folder, on_exit=lambda _: None) as lab:
        cluster = await raise_cluster(
            lab,
            find_binaries(None),
            config_folder=folder / "config",
            logs=folder,
            done=lambda step: figures.tell(f"{step} is there"),
        )
        try:
            for number in range(runs):
                missing = await cluster.wait_whole(timeout_s=WHOLE_TIMEOUT_S)
                if missing is not None:
                    raise RuntimeError(f"the cluster is not whole: {missing}")
                one = await failover(cluster, lab, folder, number)
                figures.tell(f"failover {number + 1} of {runs}: {one}")
                found.append(asdict(one))
        finally:
            await cluster.aclose()
    (folder / FOUND).write_text(json.dumps(found))


def show(found: list[dict[str, Any]]) -> None:
    """The table."""
    losses = counted(len(found), "loss", "losses")
    print(f"{losses} of the primary's host (ttl 20, loop_wait 5, quorum commit)")
    accepts = [one["accepts_s"] for one in found]
    waited = [one["accepts_s"] - one["promoted_s"] for one in found]
    print(f"  the new primary accepts, after the loss   {figures.spread(accepts, 's')}")
    print(f"    of that, until it has a synchronous standby {figures.spread(waited, 's', 3)}")
    for name in CLIENTS[1:]:
        served = [one for one in found if one["served_s"][name] is not None]
        added = [one["served_s"][name] - one["accepts_s"] for one in served]
        print(f"  from then to the first write of {name:8s}  {figures.spread(added, 's', 3)}")
        if len(served) < len(found):
            print(f"    not within {POOL_TIMEOUT_S:g} s more: {len(found) - len(served)} times")
        for kind, words in (("errors", "errors"), ("unknown", "writes with an unknown end")):
            print(f"    {words} that its callers saw: {sum(one[kind][name] for one in found)}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--keep", type=Path, help="where the clients' lines and all logs are left")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside is not None:
        anyio.run(inside, options.inside, options.runs)
        return 0
    with tempfile.TemporaryDirectory(prefix="bascule-bench-") as temporary:
        folder = Path(temporary) if options.keep is None else options.keep.resolve()
        folder.mkdir(exist_ok=True)
        command = [sys.executable, __file__, "--inside", str(folder), "--runs", str(options.runs)]
        code, _ = run_sealed(command)
        if code != 0:
            return code
        found = json.loads((folder / FOUND).read_text())
    if options.json:
        print(json.dumps({"machine": figures.machine(), "failovers": found}))
    else:
        print(figures.machine())
        show(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
