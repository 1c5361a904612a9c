"""Tolerances on verdicts of recorded runs: what passes, and what must not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from chaoslib.exceptions import ActivityFailed
from chaoslib.hypothesis import ensure_hypothesis_tolerance_is_valid, within_tolerance
from support.commands.chaostoolkit import activity
from support.evidence.reported import Reported

from chaos.toolkit.drill import MAIN, verdict_of
from chaos.toolkit.probes import verdict
from chaos.toolkit.tolerances import (
    is_valid,
    lag_at_most,
    no_split_brain,
    nothing_lost,
    rto_at_most,
)


def tolerated(name: str, value: object, **arguments: object) -> bool:
    """What Chaos Toolkit itself makes of it."""
    tolerance = activity("probe", "tolerances", name, arguments)
    ensure_hypothesis_tolerance_is_valid(tolerance)
    return bool(within_tolerance(tolerance, value, configuration={}, secrets={}))


def test_a_good_run_is_tolerated(host_loss: Reported) -> None:
    found = verdict_of(host_loss.folder)
    assert found["verdict"] == "valid"
    assert tolerated("is_valid", found)
    assert tolerated("nothing_lost", found)
    assert tolerated("no_split_brain", found)
    assert tolerated("rto_at_most", found, limit_s=found["rto_s"])
    assert not tolerated("rto_at_most", found, limit_s=found["rto_s"] - 0.001)


def test_a_loss_is_not_tolerated(async_loss: Reported) -> None:
    found = verdict_of(async_loss.folder)
    assert found["verdict"] == "invalid"
    assert found["lost"] > 0
    assert not tolerated("is_valid", found)
    assert not tolerated("nothing_lost", found)


def test_what_nobody_knows_is_not_tolerated(interrupted: Reported) -> None:
    found = verdict_of(interrupted.folder)
    assert (found["verdict"], found["lost"], found["rto_s"]) == ("unknown", None, None)
    assert not tolerated("is_valid", found)
    assert not tolerated("nothing_lost", found)
    assert not tolerated("rto_at_most", found, limit_s=1e9)


def test_a_split_brain_is_not_tolerated(host_loss: Reported) -> None:
    found = verdict_of(host_loss.folder)
    assert not tolerated("no_split_brain", {**found, "split_brain": True})
    assert not tolerated("no_split_brain", {**found, "split_brain": None})


def test_the_fields_are_those_of_the_verdict(async_loss: Reported) -> None:
    found = verdict(str(async_loss.folder))
    whole = async_loss.verdict.to_json()
    assert {name: found[name] for name in MAIN} == {name: whole[name] for name in MAIN}
    assert len(found["findings"]) == len(async_loss.verdict.findings)
    assert found["findings"][0]["kind"] == async_loss.verdict.findings[0].kind.word
    assert found["run"] == str(async_loss.folder)
    assert found["sentence"].startswith("INVALID")


@pytest.mark.parametrize(("value", "is_so"), [(0.0, True), (30, True), (30.1, False)])
def test_seconds_alone_are_measured_too(value: float, is_so: bool) -> None:
    assert rto_at_most(30.0, value) is is_so


@pytest.mark.parametrize(("value", "is_so"), [(0, True), (1000, True), (1001, False)])
def test_the_lag_has_a_limit(value: int, is_so: bool) -> None:
    assert lag_at_most(1000, value) is is_so


@pytest.mark.parametrize("tolerance", [is_valid, nothing_lost, no_split_brain])
@pytest.mark.parametrize("value", [None, 5, "valid", {}], ids=repr)
def test_what_is_no_verdict_is_said_to_be_none(
    tolerance: Callable[[object], bool], value: object
) -> None:
    with pytest.raises(ActivityFailed, match="expected a verdict"):
        tolerance(value)


@pytest.mark.parametrize("limit_s", ["30", None, -1], ids=repr)
def test_a_limit_that_is_none_passes_nobody(host_loss: Reported, limit_s: object) -> None:
    assert not tolerated("rto_at_most", verdict_of(host_loss.folder), limit_s=limit_s)
