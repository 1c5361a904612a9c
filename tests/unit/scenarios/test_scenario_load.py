"""Scenarios: the built-in ones, and every refusal."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from chaos.errors import ScenarioError
from chaos.faults import FAULTS
from chaos.scenarios.load import FAULT_NAMES, builtin_scenarios, load_scenario, scenario_source
from chaos.scenarios.model import WorkloadSpec
from chaos.scenarios.rules import LASTING, problems_of_pair
from cluster.topology.load import find_topology

HEAD = """
name = "mine"
title = "Mine"
steady_s = 5
fault_s = 1
after_heal_s = 3
heal_when_service_is_back = true
recovery_s_max = 60
"""
CUT = """
[[fault]]
fault = "link-cut"
target = "replicas"
at_s = 3
"""
EXPECT = """
[expect]
rto_s_max = 30
"""


def refusal_of(tmp_path: Path, text: str) -> str:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ScenarioError) as caught:
        load_scenario(str(path))
    return str(caught.value).removeprefix(f"{path}: ")


class TestBuiltIn:
    def test_all_load_with_the_default_first(self) -> None:
        names = [scenario.name for scenario in builtin_scenarios()]
        assert names == ["host-loss", "async-loss", "process-crash", "steady", "switchover"]

    @pytest.mark.parametrize("scenario", builtin_scenarios(), ids=lambda one: one.name)
    def test_each_tells_what_it_is_for(self, scenario: object) -> None:
        name = getattr(scenario, "name", "")
        loaded = load_scenario(name)
        assert loaded == scenario
        assert tomllib.loads(scenario_source(name))["name"] == name
        assert loaded.title
        assert loaded.description

    @pytest.mark.parametrize(
        ("name", "failover", "faults"),
        [
            ("host-loss", "must", ["host-power-cut"]),
            ("process-crash", "may", ["process-kill"]),
            ("switchover", "must", ["switchover"]),
            ("steady", "must-not", []),
            ("async-loss", "must", ["link-cut", "host-power-cut"]),
        ],
    )
    def test_each_expects_what_the_design_says(
        self, name: str, failover: str, faults: list[str]
    ) -> None:
        scenario = load_scenario(name)
        assert scenario.expect.failover == failover
        assert [step.fault for step in scenario.faults] == faults
        assert scenario.expect.lost_max == 0
        assert scenario.durability == ("async" if name == "async-loss" else None)
        assert scenario.workload == WorkloadSpec(kind="ledger")

    def test_async_loss_leaves_time_to_lose_and_someone_to_take_over(self) -> None:
        cut, power = load_scenario("async-loss").faults
        assert cut.target == "replicas"
        assert power.target == "primary"
        assert power.at_s - cut.at_s >= 3
        assert cut.heal_at_s is not None
        assert power.at_s < cut.heal_at_s < load_scenario("async-loss").fault_s
        assert power.heal_at_s is None


def test_defaults(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(HEAD + EXPECT)
    scenario = load_scenario(str(path))
    assert scenario.durability is None
    assert scenario.workload == WorkloadSpec(kind="ledger")
    assert scenario.description == ""
    assert scenario.faults == ()
    assert (scenario.expect.failover, scenario.expect.lost_max) == ("may", 0)


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("", WorkloadSpec(kind="ledger")),
        ('kind = "transfers"', WorkloadSpec(kind="transfers")),
        (
            'kind = "transfers"\naccounts = 5\nopening_balance = 0',
            WorkloadSpec(kind="transfers", accounts=5, opening_balance=0),
        ),
        ('kind = "bulk"\nchunk_rows = 9', WorkloadSpec(kind="bulk", chunk_rows=9)),
    ],
)
def test_a_workload_is_read(tmp_path: Path, text: str, spec: WorkloadSpec) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f"{HEAD}{EXPECT}[workload]\n{text}\n")
    assert load_scenario(str(path)).workload == spec


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('kind = "transfer"', 'found "transfer" (did you mean transfers?)'),
        ('kind = "transfers"\naccounts = 1', "accounts: expected a whole number from 2 on"),
        ("accounts = 5", "workload.accounts: unknown key"),
        ('kind = "ledger"\nchunk_rows = 5', "workload.chunk_rows: unknown key"),
    ],
)
def test_a_workload_is_refused(tmp_path: Path, text: str, words: str) -> None:
    assert words in refusal_of(tmp_path, f"{HEAD}{EXPECT}[workload]\n{text}\n")


def test_a_power_cut_must_not_end_the_load_with_the_primary() -> None:
    three = find_topology("three-sites")
    shared = replace(
        three,
        name="shared",
        sites=tuple(
            replace(
                site,
                hosts=tuple(
                    replace(host, roles=("postgres", "client"))
                    if "postgres" in host.roles
                    else host
                    for host in site.hosts
                ),
            )
            for site in three.sites
        ),
    )
    [problem] = problems_of_pair(load_scenario("host-loss"), shared)
    assert problem.key == "fault[0]"
    assert "shared db-paris, db-orsay, db-saint-cloud has the roles" in problem.words
    assert list(problems_of_pair(load_scenario("process-crash"), shared)) == []
    assert list(problems_of_pair(load_scenario("host-loss"), three)) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEAD + CUT.replace("link-cut", "link-cutt") + EXPECT, "(did you mean link-cut?)"),
        (
            HEAD + CUT.replace("replicas", "replica") + EXPECT,
            'fault[0].target: expected primary or replicas; found "replica" (did you mean '
            "replicas?)",
        ),
        (
            HEAD + CUT + "heal_at = 9\n" + EXPECT,
            "fault[0].heal_at: unknown key; did you mean heal_at_s?",
        ),
        (
            HEAD + CUT + "heal_at_s = 3\n" + EXPECT,
            "fault[0].heal_at_s: expected more than at_s = 3; found 3",
        ),
        (
            HEAD + CUT + 'process = "postgres"\n' + EXPECT,
            "fault[0].process: only process-kill has a",
        ),
        (
            HEAD + CUT.replace("link-cut", "process-kill") + 'process = "postgrse"\n' + EXPECT,
            'fault[0].process: expected postgres; found "postgrse" (did you mean postgres?)',
        ),
        (
            HEAD + CUT.replace("link-cut", "process-kill") + "heal_at_s = 4\n" + EXPECT,
            "fault[0].heal_at_s: process-kill is over once it has struck: there is nothing to heal",
        ),
        (
            HEAD + CUT.replace("link-cut", "switchover") + EXPECT,
            'fault[0].target: a switchover needs "primary"; found "replicas"',
        ),
        (
            HEAD + CUT + EXPECT + 'failover = "must"\n',
            'expect.failover: found "must", but no fault has the target primary',
        ),
        (
            HEAD
            + CUT.replace("link-cut", "switchover").replace("replicas", "primary")
            + EXPECT
            + 'failover = "must-not"\n',
            'expect.failover: found "must-not", but a switchover is asked for',
        ),
        (HEAD + CUT, "expect: missing key; expected a table [expect]"),
        (
            HEAD.replace("steady_s = 5", "steady_s = 0") + EXPECT,
            "steady_s: expected a number from 1 to 3600",
        ),
        (
            HEAD + EXPECT + "lost_max = -1",
            "expect.lost_max: expected a whole number from 0 on; found -1",
        ),
        (HEAD + "fault = 3\n" + EXPECT, "fault: expected tables [[fault]]; found 3"),
    ],
)
def test_each_mistake_is_told(tmp_path: Path, text: str, words: str) -> None:
    message = refusal_of(tmp_path, text)
    assert words in message
    assert "\n" not in message


def test_an_unknown_name_is_told_the_nearest() -> None:
    with pytest.raises(
        ScenarioError, match=r"host-lost: .*\(did you mean host-loss\?\); there are host"
    ):
        load_scenario("host-lost")


def test_the_rules_know_which_faults_last() -> None:
    assert set(LASTING) == {name for name, fault in FAULTS.items() if fault.lasts}
    assert set(FAULT_NAMES) == set(FAULTS)
