"""Probes, withdrawals and the trail in a scenario: read, written down, refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chaos.errors import ScenarioError
from chaos.evidence.scenario_json import scenario_from_dict, scenario_to_dict
from chaos.scenarios.access import NO_ACCESS, ProbeSpec, WithdrawalSpec
from chaos.scenarios.load import builtin_scenarios, load_scenario, to_toml
from chaos.scenarios.model import Scenario

HEAD = """
name = "mine"
title = "Mine"
steady_s = 5
fault_s = 5
after_heal_s = 3
heal_when_service_is_back = true
recovery_s_max = 60
"""
END = """
[expect]
rto_s_max = 30
"""
READS = """
[[probe]]
name = "reads"
as = "alice"
sql = ["SET app.project = 'x'", "SELECT 1"]
expect = "rows = 12"
"""
ESCAPES = """
[[probe]]
name = "escapes"
as = "alice"
sql = "SELECT 2"
expect = "refused"
"""
GOES = """
[[withdrawal]]
probe = "reads"
sql = "REVOKE alice FROM cardio"
at_s = 2
"""


def scenario_of(tmp_path: Path, *parts: str) -> Scenario:
    path = tmp_path / "mine.toml"
    path.write_text("".join((HEAD, *parts, END)))
    return load_scenario(str(path))


def test_everything_is_read_and_written_down(tmp_path: Path) -> None:
    scenario = scenario_of(tmp_path, "trail = true\nsetup = 'CREATE ROLE alice'\n", READS, GOES)
    access = scenario.access
    assert access.setup == ("CREATE ROLE alice",)
    assert access.trail
    assert access.probes == (
        ProbeSpec(
            name="reads",
            role="alice",
            sql=("SET app.project = 'x'", "SELECT 1"),
            expect="rows",
            rows=12,
        ),
    )
    [withdrawal] = access.withdrawals
    assert withdrawal == WithdrawalSpec(
        sql="REVOKE alice FROM cardio", probe="reads", at_s=2.0, within_s=10.0
    )
    written = json.loads(json.dumps(scenario_to_dict(scenario)))
    assert scenario_from_dict(written) == scenario


def test_an_older_folder_asked_nothing(tmp_path: Path) -> None:
    written = scenario_to_dict(scenario_of(tmp_path))
    del written["access"]
    assert scenario_from_dict(written).access == NO_ACCESS


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ((READS.replace("rows = 12", "rows"),), "expected refused, same, rows = 100 or error"),
        ((READS.replace('"alice"', "7"),), "probe[0].as: expected a text of one line"),
        (
            (READS.replace("as =", "role ="),),
            "probe[0].role: unknown key; expected as, expect, name or sql",
        ),
        ((READS.replace('"SELECT 1"', '""'),), "probe[0].sql: expected a text, or a list of texts"),
        ((READS, READS), "probe[1].name: reads is the name of another probe too"),
        (("setup = 'SELECT 1'\n",), "setup: what it makes is asked by nobody; add a [[probe]]"),
        (("trail = true\n", ESCAPES), "trail: nobody is let in, so there is no access to look for"),
        ((GOES,), "withdrawal[0].probe: expected a probe that is let in before (there is none)"),
        ((ESCAPES, GOES), "expected a probe that is let in before (there is none); found reads"),
        (
            (READS, GOES.replace("at_s = 2", "at_s = 6")),
            "withdrawal[0].at_s: expected at most fault_s = 5; found 6",
        ),
        ((READS, GOES, GOES), "withdrawal[1].probe: reads is withdrawn already"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    tmp_path: Path, parts: tuple[str, ...], words: str
) -> None:
    with pytest.raises(ScenarioError) as caught:
        scenario_of(tmp_path, *parts)
    assert words in str(caught.value)


def test_the_built_in_ones_ask_what_they_are_for() -> None:
    asking = {one.name: one.access for one in builtin_scenarios() if one.access != NO_ACCESS}
    assert set(asking) == {
        "host-loss-sealed",
        "sealed-by-guc",
        "withdrawal-during-cut",
        "trail-survives-rewind",
        "trail-lost-by-rewind",
        "restore",
        "trail-holds-values",
        "trail-without-values",
        "return-unfenced",
        "return-fenced",
        "warehouse-restore",
        "warehouse-host-loss",
        "warehouse-site-loss",
    }
    assert sum(probe.is_escape for probe in asking["host-loss-sealed"].probes) == 7
    assert len(asking["withdrawal-during-cut"].withdrawals) == 2
    assert asking["trail-survives-rewind"] == asking["trail-lost-by-rewind"]


def test_a_workload_asks_besides_what_its_scenario_asks(tmp_path: Path) -> None:
    warehouse = "[workload]\nkind = 'warehouse'\nworkspaces = true\n"
    own = READS.replace('"reads"', '"sacha counts"').replace("alice", "sacha")
    setup = "setup = 'CREATE ROLE sacha'\n"
    access = scenario_of(tmp_path, setup, own, warehouse).access
    names = [probe.name for probe in access.probes]
    assert names[0] == "sacha counts"
    assert {"tolerance-own-person", "reponse-tumeur-1-becomes-tolerance"} < set(names)
    assert len(set(names)) == len(names)
    assert {probe.role for probe in access.probes} == {"camille", "sacha", "registrar"}
    assert access.sealed_values
    # What was written down with everything is read back as the same.
    again = tmp_path / "again.toml"
    again.write_text(to_toml(load_scenario("warehouse-host-loss")))
    assert load_scenario(str(again)) == load_scenario("warehouse-host-loss")
    without = scenario_of(tmp_path, "[workload]\nkind = 'warehouse'\n").access
    assert without == NO_ACCESS
