"""What a drill shows Prometheus, from a board that is made up; and where it is shown."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from chaos.cli.main import bascule
from chaos.evidence.events import Phase
from chaos.live.board import Board, FaultBoard, SiteBoard
from chaos.live.listeners import ListenPlace, authority, parse_place
from chaos.live.metrics import DRILL_METRICS, families
from replication.monitoring.dashboard.drill import PHASES as DRAWN_PHASES

NOW_S, WALL_S = 1000.0, 1_800_000_000.0


def board(phase: str) -> Board:
    return Board(
        scenario="host-loss",
        title="",
        started_s=900.0,
        phase=phase,
        sites={"paris": SiteBoard(ok=70, fail=2, info=1, last_ok_s=988.0), "orsay": SiteBoard()},
        faults=[
            FaultBoard(fault="link-cut", host="db-a", struck_s=970.0, lasts=True, healed_s=980.0),
            FaultBoard(fault="process-kill", host="db-b", struck_s=985.0, lasts=False),
            FaultBoard(fault="link-cut", host="db-c", struck_s=990.0, lasts=True),
        ],
    )


def samples(phase: str = "fault") -> dict[tuple[str, ...], float]:
    """Name and labels (without the cluster, in their order) to the value."""
    found = {}
    for family in families(board(phase), run="run-1", now_s=NOW_S, wall_s=WALL_S):
        for sample in family.samples:
            labels = dict(sample.labels)
            assert labels.pop("cluster") == "drill-host-loss"
            found[(sample.name, *labels.values())] = sample.value
    return found


def test_one_phase_is_the_present_one() -> None:
    found = samples("recovery")
    assert {name: found["bascule_drill_phase", name] for name in Phase} == {
        name: float(name == "recovery") for name in Phase
    }


def test_a_fault_that_lasts_is_there_until_it_is_healed() -> None:
    active = {key[1:]: value for key, value in samples().items() if "active" in key[0]}
    assert active == {("link-cut", "db-a"): 0.0, ("link-cut", "db-c"): 1.0}


def test_a_fault_is_dated_on_the_wall_clock() -> None:
    found = samples()
    assert found["bascule_drill_fault_timestamp_seconds", "process-kill", "db-b"] == WALL_S - 15
    assert found["bascule_drill_fault_timestamp_seconds", "link-cut", "db-a"] == WALL_S - 30


def test_a_host_that_is_struck_again_has_the_newest_strike() -> None:
    twice = board("fault")
    twice.faults.append(FaultBoard(fault="link-cut", host="db-a", struck_s=999.0, lasts=True))
    found = {
        (sample.name, sample.labels.get("host")): sample.value
        for family in families(twice, run="r", now_s=NOW_S, wall_s=WALL_S)
        for sample in family.samples
    }
    assert found["bascule_drill_fault_active", "db-a"] == 1
    assert found["bascule_drill_fault_timestamp_seconds", "db-a"] == WALL_S - 1


def test_operations_by_site_and_outcome() -> None:
    found = samples()
    name = "bascule_drill_operations_total"
    assert [found[name, "paris", outcome] for outcome in ("ok", "fail", "info")] == [70, 2, 1]


def test_an_outage_grows_while_load_is_offered_and_is_none_before_the_first_write() -> None:
    assert samples()["bascule_drill_unserved_seconds", "paris"] == 12
    assert ("bascule_drill_unserved_seconds", "orsay") not in samples()
    assert ("bascule_drill_unserved_seconds", "paris") not in samples("quiesce")


def test_every_metric_of_the_catalogue_is_shown() -> None:
    names = {key[0] for key in samples()}
    assert names == {metric.name for metric in DRILL_METRICS}


def test_the_dashboard_knows_every_phase() -> None:
    assert tuple(one.text for one in DRAWN_PHASES) == tuple(Phase)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("9188", ListenPlace(port=9188)),
        ("0", ListenPlace(port=0)),
        ("10.0.0.5:9188", ListenPlace(port=9188, host="10.0.0.5")),
        ("[::1]:9188", ListenPlace(port=9188, host="::1")),
    ],
)
def test_a_place_to_listen(text: str, place: ListenPlace) -> None:
    assert parse_place(text) == place
    if place.host is not None:
        assert authority(place.host, place.port) == text


@pytest.mark.parametrize("text", ["", "host", "host:", ":9188", "70000", "a:b:1", "-1"])
def test_what_is_no_place_is_refused_with_an_example(text: str) -> None:
    done = CliRunner().invoke(bascule, ["drill", f"--metrics={text}"])
    assert done.exit_code == 2
    assert "is not PORT or HOST:PORT, as in 9188" in done.output
