"""Settings that were asked for and were not in force."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from support.evidence import tiny
from support.evidence.tiny import life, run, settings_event

from chaos.checkers import settings
from chaos.checkers.settings import SETTINGS_NOT_IN_FORCE
from chaos.evidence.events import SettingsFound
from chaos.evidence.records import Scalar
from chaos.findings import Finding, Verdict

Values = Mapping[str, Scalar]


def _check(found: Values, *, asked: Values | None = None) -> list[Finding]:
    events = [event for event in life() if not isinstance(event, SettingsFound)]
    judged = run(
        tiny.load(0.0, 50.0), events=[*events, settings_event(**found)], settings=asked or {}
    )
    findings = settings.check(judged)
    assert all(finding.kind is SETTINGS_NOT_IN_FORCE for finding in findings)
    return findings


def test_what_was_asked_for_is_accepted() -> None:
    assert _check({}) == []
    assert _check({"ttl_s": 20.0}) == []
    off: Values = {"synchronous_mode": "off", "synchronous_standby_names": ""}
    assert _check(off, asked={"durability": "async"}) == []
    assert _check({**off, "synchronous_mode": "false"}, asked={"durability": "async"}) == []


@pytest.mark.parametrize("name", settings.TIMINGS)
def test_another_timing_means_that_something_else_was_measured(name: str) -> None:
    [finding] = _check({name: 7})
    assert finding.verdict is Verdict.UNKNOWN
    assert finding.evidence[0]["setting"] == name
    assert finding.evidence[0]["in_force"] == 7
    assert f"{name} 7" in finding.summary


@pytest.mark.parametrize(
    "found",
    [
        {"synchronous_standby_names": ""},
        {"synchronous_mode": "off"},
        {"synchronous_mode": "false"},
        {"synchronous_mode": None, "synchronous_standby_names": None},
    ],
)
def test_less_protection_than_asked_for_is_a_fault_of_the_cluster(
    found: Values,
) -> None:
    [finding] = _check(found)
    assert finding.verdict is Verdict.INVALID


def test_other_protection_than_asked_for_is_not_what_was_asked() -> None:
    [finding] = _check({"synchronous_mode": "true"})
    assert finding.verdict is Verdict.UNKNOWN
    [finding] = _check({}, asked={"durability": "async"})
    assert finding.verdict is Verdict.UNKNOWN


def test_what_nobody_asked_for_is_not_held_against_anybody() -> None:
    assert (
        _check({"ttl_s": 99, "synchronous_mode": "off"}, asked={"ttl_s": None, "durability": None})
        == []
    )
