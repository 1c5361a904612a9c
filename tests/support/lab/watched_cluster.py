"""A cluster of the lab, with the real exporter, a metered application and a real Prometheus."""

from __future__ import annotations

import json
import secrets
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import anyio
import httpcore
import yaml
from support.lab.alert_faults import POLL_S, run_sql

from chaos.drill.loads import DBNAME, ROLE
from chaos.drill.setup import prepare
from chaos.scenarios.model import WorkloadSpec
from cluster.etcd import member
from cluster.patroni.config import POSTGRES_PORT, REST_PORT
from cluster.raised import RaisedCluster
from cluster.substrates.base import Process
from cluster.substrates.lab.lab import Lab
from replication.monitoring import render_rules
from replication.monitoring.lag import heartbeat_row

EXPORTER, PROMETHEUS, APPLICATION = "exporter", "prometheus", "application"
EXPORTER_PORT, PROMETHEUS_PORT, APPLICATION_PORT = 9187, 9090, 9400
EXPORTER_ROLE = "bascule_exporter"
SCRAPE_S = 1
SCALE = 20
"""Every ``for`` and range divided by it: a minute becomes three seconds, three evaluations."""
THRESHOLDS = {"BasculeSlotRetention": 32 * 1024 * 1024, "BasculeHeartbeatStale": 5}
"""Instead of 1 GiB, which the lab's memory should not have to hold, and of a minute. All others are
those of production."""
ANSWER_TIMEOUT_S = 10.0
READY_TIMEOUT_S = 60.0
RANGE_STEP_S = 2

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """An alert that fires: its name, and its labels beside ``severity``."""

    name: str
    labels: Labels

    @property
    def about(self) -> str:
        """What it is about, in a word: a member, an endpoint, a slot; empty for the cluster."""
        return next(
            (self.labels[key] for key in ("member", "endpoint", "slot") if key in self.labels), ""
        )


class WatchedCluster:
    """What Prometheus says, asked over the console of the host on which it runs.

    Args:
        lab: where everything runs.
        cluster: whole.
        host: an application's host, for exporter, application and Prometheus.
        folder: for the configuration of Prometheus.
    """

    def __init__(self, lab: Lab, cluster: RaisedCluster, host: str, folder: Path) -> None:
        self.lab = lab
        self.cluster = cluster
        self.host = host
        self._folder = folder
        self._pool = httpcore.AsyncConnectionPool(network_backend=lab.console)

    async def start(self) -> None:
        """Start the three; returns when Prometheus has seen a healthy cluster."""
        await self._start_exporter()
        await self._wait_text(EXPORTER_PORT, "/metrics", "bascule_primaries{")
        await self._start_application()
        await self._wait_text(APPLICATION_PORT, "/metrics", "bascule_storage_units_total{")
        await self._start_prometheus()
        await self._wait_text(PROMETHEUS_PORT, "/-/ready", "is Ready")
        with anyio.fail_after(READY_TIMEOUT_S):
            while await self.values("bascule_primaries") != [1.0]:
                await anyio.sleep(POLL_S)

    async def _start_exporter(self) -> None:
        topology, password = self.lab.topology, secrets.token_urlsafe(18)
        primary = await self.cluster.primary()
        assert primary is not None
        await run_sql(
            self.cluster,
            primary,
            f"CREATE ROLE {EXPORTER_ROLE} LOGIN PASSWORD '{password}'",
            *heartbeat_row.setup_text(EXPORTER_ROLE).split(";")[:-1],
        )
        arguments = ["--cluster", topology.cluster.scope, "--user", EXPORTER_ROLE]
        for node in topology.nodes:
            address, site = self.lab.address(node), topology.site_of(node).name
            rest = f"http://{address}:{REST_PORT}"
            arguments += ["--member", f"{node}={rest},{address}:{POSTGRES_PORT},{site}"]
        for host in topology.hosts_with("etcd"):
            arguments += ["--dcs", f"http://{self.lab.address(host.name)}:{member.CLIENT_PORT}"]
        unit = Process(
            name=EXPORTER,
            argv=(sys.executable, "-m", "chaos", "exporter", *arguments),
            secrets={"PGPASSWORD": password},
        )
        await self.lab.start_unit(self.host, unit)

    async def _start_application(self) -> None:
        password = secrets.token_urlsafe(18)
        await prepare(self.cluster, password, WorkloadSpec())
        config = {
            "cluster": self.lab.topology.cluster.scope,
            "members": [
                {
                    "name": node,
                    "rest_url": f"http://{self.lab.address(node)}:{REST_PORT}",
                    "host": self.lab.address(node),
                    "port": POSTGRES_PORT,
                }
                for node in self.lab.topology.nodes
            ],
            "user": ROLE,
            "password": password,
            "dbname": DBNAME,
            "port": APPLICATION_PORT,
        }
        argv = (sys.executable, "-m", "support.monitoring.metered_app")
        tests = str(Path(__file__).parents[2])
        unit = Process(
            name=APPLICATION,
            argv=argv,
            env={"PYTHONPATH": tests},
            stdin=json.dumps(config) + "\n",
        )
        await self.lab.start_unit(self.host, unit)

    async def _start_prometheus(self) -> None:
        rules = self._folder / "rules.yml"
        rules.write_text(render_rules(scale=SCALE, thresholds=THRESHOLDS))
        every = f"{SCRAPE_S}s"
        targets = [f"127.0.0.1:{EXPORTER_PORT}", f"127.0.0.1:{APPLICATION_PORT}"]
        config = {
            "global": {
                "scrape_interval": every,
                "scrape_timeout": every,
                "evaluation_interval": every,
            },
            "rule_files": [str(rules)],
            "scrape_configs": [{"job_name": "bascule", "static_configs": [{"targets": targets}]}],
        }
        path = self._folder / "prometheus.yml"
        path.write_text(yaml.safe_dump(config))
        data = self.lab.data_folder(self.host) / "prometheus"
        argv = (
            "prometheus",
            f"--config.file={path}",
            f"--storage.tsdb.path={data}",
            f"--web.listen-address=127.0.0.1:{PROMETHEUS_PORT}",
            "--log.level=warn",
        )
        await self.lab.start_unit(self.host, Process(name=PROMETHEUS, argv=argv))

    async def _wait_text(self, port: int, path: str, text: str) -> None:
        with anyio.fail_after(READY_TIMEOUT_S):
            while text not in await self._get(port, path):
                await anyio.sleep(POLL_S)

    async def _get(self, port: int, path: str) -> str:
        """The body of an answer; empty while there is none."""
        try:
            with anyio.fail_after(ANSWER_TIMEOUT_S):
                answer = await self._pool.request("GET", f"http://{self.host}:{port}{path}")
        except (TimeoutError, httpcore.NetworkError, httpcore.ProtocolError):
            return ""
        return answer.content.decode()

    async def _ask(self, path: str, **parameters: object) -> list[dict[str, object]]:
        body = await self._get(PROMETHEUS_PORT, f"/api/v1/{path}?{urlencode(parameters)}")
        if not body:
            return []
        answer = json.loads(body)
        assert answer["status"] == "success", f"{parameters}: {answer}"
        return list(answer["data"]["result"])

    async def ask(self, expr: str) -> list[tuple[Labels, float]]:
        """An instant query: labels and value of every series."""
        rows = await self._ask("query", query=expr)
        return [(row["metric"], float(row["value"][1])) for row in rows]  # type: ignore[index,misc]

    async def values(self, expr: str) -> list[float]:
        """The values alone."""
        return [value for _, value in await self.ask(expr)]

    async def count_samples(self, expr: str, *, since_s: float) -> int:
        """How many samples a query over the time since ``since_s`` (monotonic) has.

        Raises:
            AssertionError: Prometheus calls it an error.
        """
        end_s = time.time()
        begin_s = end_s - (time.monotonic() - since_s)
        rows = await self._ask(
            "query_range", query=expr, start=begin_s, end=end_s, step=RANGE_STEP_S
        )
        return sum(
            value != "NaN"
            for row in rows
            for _, value in row["values"]  # type: ignore[attr-defined]
        )

    async def firing(self) -> list[Firing]:
        """What fires now."""
        return _firing(await self.ask('ALERTS{alertstate="firing"}'))

    async def fired(self, *, since_s: float) -> list[Firing]:
        """Whatever fired since ``since_s`` (monotonic), once or longer."""
        window = f"{max(1, round(time.monotonic() - since_s))}s"
        return _firing(await self.ask(f'count_over_time(ALERTS{{alertstate="firing"}}[{window}])'))

    async def wait_fired(
        self, wanted: Sequence[tuple[str, str]], *, since_s: float, timeout_s: float
    ) -> None:
        """Wait until each (name, member) has fired since ``since_s``.

        Raises:
            AssertionError: one has not, in ``timeout_s``.
        """
        missing = set(wanted)
        with anyio.move_on_after(timeout_s):
            while missing:
                await anyio.sleep(POLL_S)
                found = await self.fired(since_s=since_s)
                missing = set(wanted) - {(one.name, one.about) for one in found}
        now = sorted((one.name, one.about) for one in await self.firing())
        assert not missing, f"{sorted(missing)} did not fire in {timeout_s:g} s; firing are {now}"

    async def wait_quiet(self, *, timeout_s: float) -> list[Firing]:
        """Wait until nothing fires; returns what was the last to.

        Raises:
            AssertionError: something still does after ``timeout_s``.
        """
        last: list[Firing] = []
        with anyio.move_on_after(timeout_s):
            while found := await self.firing():
                last = found
                await anyio.sleep(POLL_S)
            return last
        raise AssertionError(f"still firing after {timeout_s:g} s: {last}")

    async def wait_evaluations(self, count: int, *, timeout_s: float) -> None:
        """Wait until the rules were evaluated ``count`` more times."""
        begun = await self._iterations()
        with anyio.fail_after(timeout_s):
            while await self._iterations() < begun + count:
                await anyio.sleep(POLL_S)

    async def _iterations(self) -> int:
        """How often the rules have been evaluated, by Prometheus's own metrics."""
        text = await self._get(PROMETHEUS_PORT, "/metrics")
        lines = [
            line
            for line in text.splitlines()
            if line.startswith("prometheus_rule_group_iterations_total{")
        ]
        return int(sum(float(line.rpartition(" ")[2]) for line in lines))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._pool.aclose()


def _firing(rows: Sequence[tuple[Labels, float]]) -> list[Firing]:
    hidden = ("__name__", "alertname", "alertstate", "severity")
    return [
        Firing(
            name=labels["alertname"],
            labels={key: value for key, value in labels.items() if key not in hidden},
        )
        for labels, _ in rows
    ]
