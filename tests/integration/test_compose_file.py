"""``docker-compose.yml`` as a user has it: up, used, watched, broken, down, and nothing is left."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest
from support.commands.commands import LOW_LOAD, running, wait_phase, wait_until
from support.docker.docker_things import docker

pytestmark = [pytest.mark.docker, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
UP_TIMEOUT_S = 1800.0
"""With the images, which it builds."""
ALERT_TIMEOUT_S = 240.0
PROTECTED_TIMEOUT_S = 60.0
REPLACED_S_MAX = 14.0
"""Without witnesses it takes 15 s or more (ttl 20, loop_wait 5); with them a second or two."""
ANSWER_TIMEOUT_S = 60.0
ACTIVE_ENDPOINTS = "has active endpoints"
FIRST_ENGINE_THAT_COUNTS = 23
COUNTED_STANDBYS = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'quorum'"
PORTS = ("PRIMARY", "REPLICA", "HAPROXY", "PROMETHEUS", "ALERTMANAGER", "GRAFANA")
SITES = ("paris", "orsay", "saint-cloud")
SECRETS = ("superuser", "replication", "rewind", "monitor", "app", "grafana")
PROFILES = "cluster,observe,load,witness"
"""Grafana has a profile of its own: its image is to be had from a registry only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """The project while it is up."""

    project: str
    environment: dict[str, str]

    def compose(self, *arguments: str) -> str:
        """``docker compose ARGUMENTS``; what it printed."""
        done = subprocess.run(
            ["docker", "compose", *arguments],
            cwd=ROOT,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=UP_TIMEOUT_S,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def get(self, port: str, path: str) -> Any:  # noqa: ANN401 (JSON)
        """What a published port answers, as JSON."""
        url = f"http://127.0.0.1:{self.environment[f'BASCULE_{port}_PORT']}{path}"
        with urllib.request.urlopen(url, timeout=ANSWER_TIMEOUT_S) as answer:
            return json.loads(answer.read())

    def value(self, query: str) -> float | None:
        """The one value of a Prometheus query; None while there is none."""
        found = self.get("PROMETHEUS", f"/api/v1/query?query={query}")["data"]["result"]
        return float(found[0]["value"][1]) if found else None

    def wait_value(self, query: str, value: float) -> None:
        """Wait until the one value of a Prometheus query is this."""
        wait_until(
            lambda: self.value(query) == value,
            timeout_s=ALERT_TIMEOUT_S,
            what=f"{query} = {value:g}",
        )

    def secret(self, name: str) -> str:
        """A password of the cluster."""
        return self.compose("exec", "-T", "db-paris", "cat", f"/run/secrets/{name}").strip()

    def roles(self) -> dict[str, str]:
        """What Patroni says that each member is."""
        ask = "import urllib.request as r; print(r.urlopen('http://db-paris:8008/cluster').read().decode())"
        answer = self.compose("exec", "-T", "db-paris", "python", "-c", ask)
        return {one["name"]: one["role"] for one in json.loads(answer)["members"]}

    def down(self) -> None:
        """``docker compose down``; AssertionError unless nothing of the project is left.

        An engine before 23 counts the endpoints of a network wrongly when containers leave it at
        the same time, and then does not remove it, empty as it is, until it is restarted
        (moby#43286): such a network may stay, and nothing else.
        """

        def is_down() -> bool:
            try:
                self.compose("down", "--volumes", "--timeout", "5")
            except AssertionError as error:
                if ACTIVE_ENDPOINTS not in str(error):
                    raise
                return self.things() == self.miscounted_networks()
            return self.things() == []

        wait_until(is_down, timeout_s=ANSWER_TIMEOUT_S, what="the end of the project")

    def miscounted_networks(self) -> list[str]:
        """Networks that have no container, and that this engine may not remove nevertheless."""
        engine = docker("version", "--format", "{{.Server.Version}}")
        if int(engine.split(".")[0]) >= FIRST_ENGINE_THAT_COUNTS:
            return []
        ours = f"label=com.docker.compose.project={self.project}"
        ids = docker("network", "ls", "--quiet", "--filter", ours).split()
        inspected = {one: json.loads(docker("network", "inspect", one))[0] for one in ids}
        return [one for one in ids if not inspected[one]["Containers"]]

    def things(self) -> list[str]:
        """The containers, networks and volumes of the project."""
        ours = f"label=com.docker.compose.project={self.project}"
        # The images have that label too, and with them what other tests run from them.
        numbered = ("--filter", "label=com.docker.compose.container-number")
        listings = (("ps", "--all", *numbered), ("network", "ls"), ("volume", "ls"))
        return [
            name
            for listing in listings
            for name in docker(*listing, "--quiet", "--filter", ours).split()
        ]


def free_ports(count: int) -> list[int]:
    """Ports that nobody has now."""
    with ExitStack() as held:
        found = []
        for _ in range(count):
            one = held.enter_context(socket.create_server(("127.0.0.1", 0)))
            found.append(one.getsockname()[1])
        return found


@pytest.fixture(scope="module")
def composed() -> Iterator[Composed]:
    """Up, with every health check passed; afterwards nothing of it is left."""
    project = f"bascule-test-{secrets.token_hex(4)}"
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    environment = {f"BASCULE_{name}_PORT": str(port) for name, port in ports.items()}
    environment |= {"BASCULE_PROJECT": project, "COMPOSE_PROFILES": PROFILES, "BASCULE_GATE": "on"}
    there = Composed(project=project, environment=environment)
    try:
        there.compose("up", "--build", "--detach", "--wait")
        yield there
    finally:
        there.down()


def wait_healthy(container: str) -> None:
    """Wait until a container is healthy; on a loaded machine it may not be at every moment."""
    form = "{{.State.Health.Status}}"
    wait_until(
        lambda: docker("inspect", "--format", form, container).strip() == "healthy",
        timeout_s=ALERT_TIMEOUT_S,
        what=f"the health of {container}",
    )


def test_the_primary_port_leads_to_the_primary_and_nobody_else_gets_in(composed: Composed) -> None:
    port = composed.environment["BASCULE_PRIMARY_PORT"]
    where = f"host=127.0.0.1 port={port} user=postgres dbname=postgres connect_timeout=10"
    with psycopg.connect(
        f"{where} password={composed.secret('superuser')}", autocommit=True
    ) as connection:
        row = connection.execute("SELECT pg_is_in_recovery()").fetchone()
        assert row == (False,)
        # Healthy is what runs; Patroni names the standbys that count in a later round of its loop.
        wait_until(
            lambda: connection.execute(COUNTED_STANDBYS).fetchone() == (2,),
            timeout_s=PROTECTED_TIMEOUT_S,
            what="two replicas that count for the quorum",
        )
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(f"{where} password=guessed")
    replica = composed.environment["BASCULE_REPLICA_PORT"]
    where = where.replace(f"port={port}", f"port={replica}")
    with psycopg.connect(f"{where} password={composed.secret('superuser')}") as connection:
        assert connection.execute("SELECT pg_is_in_recovery()").fetchone() == (True,)


def test_everything_is_healthy_and_nothing_is_root_but_the_maker_of_secrets(
    composed: Composed,
) -> None:
    names = composed.compose("ps", "--all", "--format", "{{.Name}}").split()
    passwords = [composed.secret(name) for name in SECRETS]
    seen = set()
    for name in names:
        document = json.loads(docker("inspect", name))[0]
        state, config = document["State"], document["Config"]
        service = config["Labels"]["com.docker.compose.service"]
        seen.add(service)
        if service in ("secrets", "prepare"):
            assert (state["Status"], state["ExitCode"]) == ("exited", 0), name
        else:
            assert state["Running"], name
            if not service.startswith("app-"):
                wait_healthy(name)
            assert document["HostConfig"]["ReadonlyRootfs"], name
        if service != "secrets":
            assert config["User"].split(":")[0] not in ("", "root", "0"), name
        for password in passwords:
            assert password not in " ".join([*config["Env"], *(config["Cmd"] or ())]), name
    assert {"db-paris", "dcs-orsay", "haproxy", "exporter", "prometheus", "alertmanager"} <= seen


def test_prometheus_sees_the_cluster_and_has_the_rules(composed: Composed) -> None:
    composed.wait_value("bascule_primaries", 1)
    composed.wait_value("sum(bascule_member_up)", 3)
    composed.wait_value("sum(bascule_exporter_permission_missing)", 0)

    def health() -> dict[str, str]:
        groups = composed.get("PROMETHEUS", "/api/v1/rules")["data"]["groups"]
        return {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}

    assert {"BasculeNoPrimary", "BasculeMemberDown", "BasculeTwoPrimaries"} <= set(health())
    wait_until(  # "unknown" before a rule is first evaluated
        lambda: set(health().values()) == {"ok"}, timeout_s=ALERT_TIMEOUT_S, what="sound rules"
    )


def test_every_site_is_loaded(composed: Composed) -> None:
    query = "SELECT count(DISTINCT split_part(site, '-', 1)) FROM bascule.ledger"
    port = composed.environment["BASCULE_PRIMARY_PORT"]
    where = f"host=127.0.0.1 port={port} user=postgres dbname=postgres connect_timeout=10"
    with psycopg.connect(
        f"{where} password={composed.secret('superuser')}", autocommit=True
    ) as connection:

        def loaded() -> bool:
            return connection.execute(query).fetchone() == (3,)

        wait_until(loaded, timeout_s=60, what="entries of all three sites")


def test_a_killed_primary_is_replaced_by_the_witnesses_and_through_the_gate(
    composed: Composed,
) -> None:
    port = composed.environment["BASCULE_PRIMARY_PORT"]
    where = f"host=127.0.0.1 port={port} user=postgres dbname=postgres connect_timeout=2"
    where += f" password={composed.secret('superuser')}"

    def is_served() -> bool:
        try:
            with psycopg.connect(where, autocommit=True) as connection:
                return connection.execute("SELECT pg_is_in_recovery()").fetchone() == (False,)
        except psycopg.OperationalError:
            return False

    roles = composed.roles()
    [before] = [member for member, role in roles.items() if role == "leader"]
    witnesses = [f"witness-{site}" for site in SITES]
    docker("kill", f"{composed.project}-{before}-1")
    begin_s = time.monotonic()
    wait_until(is_served, timeout_s=REPLACED_S_MAX, what="another primary")
    print(f"served again {time.monotonic() - begin_s:.2f} s after docker kill")
    assert "outcome=done" in composed.compose("logs", "--no-color", *witnesses)
    others = [member for member in roles if member != before]
    assert "event=gate outcome=open" in composed.compose("logs", "--no-color", *others)
    composed.compose("start", before)
    wait_healthy(f"{composed.project}-{before}-1")


def test_an_alert_of_a_lost_replica_reaches_alertmanager_and_goes_again(
    composed: Composed,
) -> None:
    replica = next(member for member, role in composed.roles().items() if role != "leader")

    def firing() -> set[str]:
        alerts = composed.get("ALERTMANAGER", "/api/v2/alerts?active=true")
        return {
            alert["labels"]["member"]
            for alert in alerts
            if alert["labels"]["alertname"] == "BasculeMemberDown"
        }

    begin_s = time.monotonic()
    composed.compose("kill", replica)
    wait_until(lambda: replica in firing(), timeout_s=ALERT_TIMEOUT_S, what="the alert")
    assert time.monotonic() - begin_s > 60  # the rule's own patience
    composed.compose("start", replica)
    wait_until(
        lambda: replica not in firing(), timeout_s=ALERT_TIMEOUT_S, what="the end of the alert"
    )


def test_a_drill_is_seen_while_it_runs_and_its_failover_reaches_alertmanager(
    composed: Composed, tmp_path: Path
) -> None:
    """A drill in the lab of this machine, watched by the Prometheus of the project; kept, because
    what fires on it ends with it."""
    cluster, run = "drill-switchover", tmp_path / "run"

    def changed() -> bool:
        alerts = composed.get("ALERTMANAGER", "/api/v2/alerts?active=true")
        return any(
            (alert["labels"]["alertname"], alert["labels"]["cluster"])
            == ("BasculeTimelineChanged", cluster)
            for alert in alerts
        )

    drill = ("drill", "switchover", *LOW_LOAD, "--metrics", "9188", "--keep", "--out", str(run))
    with running(*drill) as process:
        wait_phase(process, run, "done")
        wait_until(changed, timeout_s=ALERT_TIMEOUT_S, what="the alert on the drill's failover")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=ALERT_TIMEOUT_S)
    assert process.returncode == 0, errors
    seen = f'max_over_time(bascule_drill_phase{{cluster="{cluster}"}}[5m])'
    phases = composed.get("PROMETHEUS", f"/api/v1/query?{urlencode({'query': seen})}")
    named = {one["metric"]["phase"]: float(one["value"][1]) for one in phases["data"]["result"]}
    assert all(named.get(phase) == 1 for phase in ("steady", "fault", "recovery")), named
