"""A drill as Prometheus sees it: the drill itself, its cluster, and the alerts on it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from support.commands.commands import (
    LOW_LOAD,
    bascule,
    events,
    running,
    wait_phase,
    wait_until,
)
from support.monitoring.local_prometheus import LocalPrometheus, local_prometheus
from support.monitoring.queries import filled_in
from support.postgres.local_postgres import free_port

from chaos.judge.exit_codes import USAGE
from replication.monitoring import render_rules
from replication.monitoring.dashboard.file import drill_expressions

pytestmark = pytest.mark.slow

CLUSTER = "drill-host-loss"
SCALE = 20
"""Of the rules' waiting times."""
DRILL_TIMEOUT_S = 180.0
SILENCE_S = 15
"""Longer than a rule on silence waits at that scale: a minute is 3 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A drill that has ended, and what Prometheus remembers of it."""

    folder: Path
    verdict: dict[str, Any]
    prometheus: LocalPrometheus
    begin_s: float
    end_s: float

    def series(self, query: str) -> list[dict[str, Any]]:
        """A query over the whole drill."""
        return self.prometheus.query_range(query, begin_s=self.begin_s, end_s=self.end_s)

    def values(self, query: str) -> list[float]:
        """All values of the only series of a query."""
        [one] = self.series(query)
        return [float(value) for _, value in one["values"]]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    port, run = free_port(), folder / "run"
    with local_prometheus(
        folder, f"127.0.0.1:{port}", rules=render_rules(scale=SCALE)
    ) as prometheus:
        begin_s = time.time()
        # Without witnesses: an outage that many scrapes see.
        with running(
            *("drill", "host-loss", "--no-witness", *LOW_LOAD),
            *("--metrics", str(port), "--out", str(run)),
        ) as drill:
            output, errors = drill.communicate(timeout=DRILL_TIMEOUT_S)
        assert drill.returncode == 0, output + errors
        assert f"metrics: http://127.0.0.1:{port}/metrics" in errors
        yield Watched(
            folder=run,
            verdict=json.loads((run / "verdict.json").read_text()),
            prometheus=prometheus,
            begin_s=begin_s,
            end_s=time.time(),
        )


@pytest.mark.parametrize("expr", drill_expressions())
def test_every_query_of_the_dashboard_about_a_drill_is_answered(
    watched: Watched, expr: str
) -> None:
    assert watched.series(filled_in(expr, CLUSTER)), expr


def test_who_watches_changes_nothing(watched: Watched) -> None:
    assert (watched.verdict["verdict"], watched.verdict["findings"]) == ("valid", [])


def test_a_fault_is_marked_at_the_moment_of_its_event(watched: Watched) -> None:
    [event] = events(watched.folder, "fault")
    started = json.loads((watched.folder / "run.json").read_text())
    struck_s = wall_of(event, started)
    shown = watched.values(f'bascule_drill_fault_timestamp_seconds{{cluster="{CLUSTER}"}}')
    assert shown == pytest.approx([struck_s] * len(shown), abs=0.1)
    broken = watched.values(f'bascule_drill_fault_active{{cluster="{CLUSTER}"}}')
    assert broken == sorted(broken, reverse=True)  # there, then healed
    [heal] = events(watched.folder, "heal")
    assert broken.count(1) == pytest.approx(wall_of(heal, started) - struck_s, abs=2.5)


def wall_of(event: dict[str, Any], run: dict[str, Any]) -> float:
    """The moment of an event, in seconds since 1970, by the start of its run."""
    started_s = datetime.fromisoformat(run["started_at"]).timestamp()
    return float(started_s + event["t_s"] - run["started_t_s"])


def test_the_outage_is_seen_to_grow_as_the_verdict_has_it(watched: Watched) -> None:
    unserved = watched.values(f'max(bascule_drill_unserved_seconds{{cluster="{CLUSTER}"}})')
    assert max(unserved) == pytest.approx(watched.verdict["rto_s"], abs=2.0)


def test_operations_are_counted_as_in_the_verdict(watched: Watched) -> None:
    counted = watched.values(
        f'sum(bascule_drill_operations_total{{cluster="{CLUSTER}", outcome="ok"}})'
    )
    assert counted == sorted(counted)
    assert counted[-1] == pytest.approx(watched.verdict["acknowledged"], rel=0.05)


def test_the_cluster_of_the_drill_is_seen_through_its_failover(watched: Watched) -> None:
    primaries = watched.values(f'bascule_primaries{{cluster="{CLUSTER}"}}')
    assert {0.0, 1.0} == set(primaries)
    assert primaries[-1] == 1
    down = watched.series(f'bascule_member_up{{cluster="{CLUSTER}"}} == 0')
    [fault] = events(watched.folder, "fault")
    assert fault["node"] in {one["metric"]["member"] for one in down}
    timelines = watched.values(f'max(bascule_member_timeline{{cluster="{CLUSTER}"}})')
    assert (timelines[0], timelines[-1]) == (1, 2)


def test_alerts_fire_on_the_drill_and_none_on_its_end(watched: Watched) -> None:
    wait_until(
        lambda: bool(watched.prometheus.query(f"max_over_time(up[{SILENCE_S}s]) == 0")),
        timeout_s=3 * SILENCE_S,
        what="silence",
    )
    ever = f'max_over_time(ALERTS{{alertstate="firing", cluster="{CLUSTER}"}}[5m])'
    fired = {one["metric"]["alertname"] for one in watched.prometheus.query(ever)}
    assert {"BasculeNoPrimary", "BasculeMemberDown", "BasculeTimelineChanged"} <= fired
    assert not fired & {"BasculeExporterSilent", "BasculeTwoPrimaries", "BasculeHeartbeatStale"}


def test_a_port_that_is_taken_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    port = free_port()
    place, first = f"127.0.0.1:{port}", tmp_path / "first"
    with running("drill", "steady", "--metrics", place, "--out", str(first)) as process:
        wait_phase(process, first, "boot")
        second = tmp_path / "second"
        refused = bascule("drill", "steady", "--metrics", place, "--out", str(second))
    assert refused.returncode == USAGE
    assert (
        f"--metrics: nobody can listen on {place}: Address already in use; choose" in refused.stderr
    )
    assert not second.exists()
