"""Scenarios: the built-in ones, and every refusal."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest

from chaos.errors import ScenarioError
from chaos.faults.registry import FAULTS, lasts
from chaos.faults.targets import FORMS, PRIMARY, REPLICAS
from chaos.scenarios.load import (
    builtin_scenarios,
    load_scenario,
    scenario_source,
    to_toml,
    with_options,
)
from chaos.scenarios.model import FaultStep, Scenario, WorkloadSpec
from chaos.scenarios.rules import problems_of_pair
from chaos.workloads.append import AppendOptions
from chaos.workloads.bulk import BulkOptions
from chaos.workloads.ledger import LedgerOptions
from chaos.workloads.register import RegisterOptions
from chaos.workloads.transfers import TransfersOptions
from cluster.topology.load import find_topology

OF_ETCD_AND_OPERATOR = {
    name: (name, failover, faults)
    for name, failover, faults in (
        ("dcs-loss-healthy-primary", "may", ["dcs-stop"]),
        ("dcs-loss-failsafe", "must-not", ["dcs-stop"]),
        ("dcs-hiccup", "must-not", ["dcs-pause", "dcs-pause", "dcs-pause"]),
        ("etcd-restored", "must", ["dcs-snapshot", "switchover", "dcs-restored"]),
        ("maintenance-walk", "must", ["dcs-stop", "dcs-stop", "rolling-restart"]),
        ("paused-crash", "may", ["pause", "host-power-cut"]),
        ("wrong-failover-by-hand", "must", ["link-cut", "host-power-cut", "failover-by-hand"]),
        (
            "cloud-standby-promoted",
            "must",
            ["site-cut", "site-power-cut", "site-power-cut", "promoted-by-hand"],
        ),
    )
}
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
        folder = files("chaos.scenarios") / "builtin"
        shipped = {one.name.removesuffix(".toml") for one in folder.iterdir()}
        assert names == ["host-loss", *sorted(shipped - {"host-loss"})]

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
            ("slow-wan", "must-not", ["link-slow"]),
            ("async-loss", "must", ["link-cut", "host-power-cut"]),
            ("site-loss", "must", ["site-power-cut"]),
            ("replica-site-loss", "must-not", ["site-power-cut"]),
            ("double-loss", "must", ["host-power-cut"] * 2),
            ("failback", "must", ["site-power-cut", "switchover"]),
            ("two-sites-no-witness", "not-while-broken", ["site-power-cut"]),
            ("sync-standby-in-lost-site", "not-while-broken", ["site-power-cut"] * 2),
            ("dcs-majority-loss", "not-while-broken", ["host-power-cut"] * 2),
            ("host-freeze", "must", ["host-freeze"]),
            ("standby-cluster-follows", "must", ["host-power-cut"]),
            ("standby-cluster-moved", "must", ["promote-standby"]),
            ("standby-cluster-split", "must", ["site-cut", "promote-standby"]),
            (
                "standby-cluster-promoted",
                "must",
                ["site-cut", *["site-power-cut"] * 3, "promote-standby"],
            ),
            ("host-wiped", "must", ["host-wiped"]),
            ("patroni-killed", "must", ["process-kill"]),
            ("patroni-killed-async", "must", ["process-kill"]),
            ("postgres-hung", "may", ["process-stop"]),
            ("crash-loop", "may", ["process-crash-loop"]),
            ("etcd-killed", "must-not", ["process-kill"]),
            ("backend-killed", "must-not", ["backend-kill", "out-of-memory"]),
            *OF_ETCD_AND_OPERATOR.values(),
            ("site-cut", "must", ["site-cut"]),
            ("site-cut-one-way", "must", ["site-cut-one-way"]),
            ("half-partition-dcs", "must", ["port-cut"]),
            ("half-partition-postgres", "must-not", ["port-cut"]),
            ("link-between-two-sites", "may", ["site-link-cut"]),
            ("flapping-link", "may", ["link-flap"]),
            ("lossy-link", "may", ["link-loss"]),
        ],
    )
    def test_each_expects_what_the_design_says(
        self, name: str, failover: str, faults: list[str]
    ) -> None:
        scenario = load_scenario(name)
        assert scenario.expect.failover == failover
        assert [step.fault for step in scenario.faults] == faults
        assert scenario.expect.lost_max == 0
        assert scenario.durability == ("async" if "async" in name else None)
        assert scenario.workload == WorkloadSpec(options=LedgerOptions())

    def test_async_loss_leaves_time_to_lose_and_someone_to_take_over(self) -> None:
        cut, power = load_scenario("async-loss").faults
        assert cut.target == REPLICAS
        assert power.target == PRIMARY
        assert power.at_s - cut.at_s >= 3
        assert cut.heal_at_s is not None
        assert power.at_s < cut.heal_at_s < load_scenario("async-loss").fault_s
        assert power.heal_at_s is None

    @pytest.mark.parametrize("scenario", builtin_scenarios(), ids=lambda one: one.name)
    def test_each_fits_the_topology_that_it_is_made_for(self, scenario: Scenario) -> None:
        topology = find_topology(scenario.topology or "three-sites")
        topology = topology.with_settings(witness=scenario.witness)
        assert list(problems_of_pair(scenario, topology)) == []

    @pytest.mark.parametrize("scenario", builtin_scenarios(), ids=lambda one: one.name)
    def test_each_is_the_same_when_it_is_written_and_read(
        self, scenario: Scenario, tmp_path: Path
    ) -> None:
        path = tmp_path / "written.toml"
        path.write_text(to_toml(scenario), encoding="utf-8")
        assert load_scenario(str(path)) == scenario


@pytest.mark.parametrize("witness", [True, False])
def test_a_scenario_may_say_whether_there_are_witnesses(tmp_path: Path, witness: bool) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f"witness = {str(witness).lower()}\n" + HEAD + EXPECT)
    assert load_scenario(str(path)).witness is witness
    path.write_text("witness = 1\n" + HEAD + EXPECT)
    with pytest.raises(ScenarioError, match="witness: expected true or false"):
        load_scenario(str(path))


def test_defaults(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(HEAD + EXPECT)
    scenario = load_scenario(str(path))
    assert scenario.durability is None
    assert scenario.witness is None
    assert scenario.workload == WorkloadSpec(options=LedgerOptions())
    assert scenario.description == ""
    assert scenario.faults == ()
    assert (scenario.expect.failover, scenario.expect.lost_max) == ("may", 0)


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("", WorkloadSpec(options=LedgerOptions())),
        ('kind = "transfers"', WorkloadSpec(options=TransfersOptions())),
        (
            'kind = "transfers"\naccounts = 5\nopening_balance = 0',
            WorkloadSpec(options=TransfersOptions(accounts=5, opening_balance=0)),
        ),
        ('kind = "bulk"\nchunk_rows = 9', WorkloadSpec(options=BulkOptions(chunk_rows=9))),
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


def test_options_of_a_workload_may_be_given_beside_it() -> None:
    spec = WorkloadSpec(options=AppendOptions(keys=9))
    changed = with_options(spec, ["isolation=read-committed", "replica_reads=0.25"])
    expected = AppendOptions(keys=9, isolation="read-committed", replica_reads=0.25)
    assert changed == WorkloadSpec(options=expected)
    registers = with_options(WorkloadSpec(options=RegisterOptions()), ["versions=false"])
    assert registers == WorkloadSpec(options=RegisterOptions(versions=False))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["isolation"], "isolation: expected KEY=VALUE"),
        (
            ["isolation=snapshot"],
            "isolation: expected read-committed, repeatable-read or serializable",
        ),
        (["isolatio=serializable"], "unknown key"),
        (["keys=many"], "keys: expected a whole number from 1 on"),
        (["keys=0", "isolation=x"], "keys: expected a whole number"),
        (['isolation=x"\ny = 1'], "isolation: expected read-committed, repeatable-read"),
    ],
)
def test_options_that_a_workload_has_not_are_refused(given: list[str], words: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        with_options(WorkloadSpec(options=AppendOptions()), given)
    assert words in str(caught.value)
    assert "--option of the workload append" in str(caught.value)


def test_a_workload_without_options_takes_none() -> None:
    with pytest.raises(ScenarioError, match="workload ledger: it has no options"):
        with_options(WorkloadSpec(), ["accounts=5"])


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
            HEAD + CUT.replace("replicas", "replicass") + EXPECT,
            "fault[0].target: expected primary, replica, replicas, any, minority, majority, all, "
            "dcs-leader, dcs-member, dcs-majority, dcs-all or host:NAME; found "
            '"replicass" (did you mean replicas?)',
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
            "fault[0].process: only process-kill or process-stop have a process, not link-cut",
        ),
        (
            HEAD + CUT.replace("link-cut", "process-kill") + 'process = "postgrse"\n' + EXPECT,
            "fault[0].process: expected postgres, patroni, etcd, haproxy or pgbouncer; found "
            '"postgrse" (did you mean postgres?)',
        ),
        (
            HEAD + CUT.replace("link-cut", "process-kill") + "heal_at_s = 4\n" + EXPECT,
            "fault[0].heal_at_s: process-kill is over once it has struck: there is nothing to heal",
        ),
        (
            HEAD + CUT.replace("link-cut", "process-crash-loop") + "times = 0\n" + EXPECT,
            "fault[0].times: expected a whole number from 1 on; found 0",
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


@pytest.mark.parametrize("fault", ["process-kill", "process-stop"])
def test_a_program_is_broken_only_where_it_runs(tmp_path: Path, fault: str) -> None:
    path = tmp_path / "mine.toml"
    three = find_topology("three-sites")
    for process, host, words in (
        ("etcd", "dcs-paris", None),
        ("patroni", "db-paris", None),
        ("etcd", "db-paris", "no etcd: in the topology three-sites db-paris has none"),
        ("patroni", "dcs-paris", "no Patroni: in the topology three-sites dcs-paris has none"),
        ("postgres", "app-paris", "no PostgreSQL: in the topology three-sites app-paris has none"),
    ):
        step = CUT.replace("link-cut", fault).replace("replicas", f"host:{host}")
        path.write_text(HEAD + step + f'process = "{process}"\n' + EXPECT)
        found = [str(one) for one in problems_of_pair(load_scenario(str(path)), three)]
        assert found == ([] if words is None else [f"fault[0]: {fault} would find {words}"])


def test_an_unknown_name_is_told_the_nearest() -> None:
    with pytest.raises(
        ScenarioError, match=r"host-lost: .*\(did you mean host-loss\?\); there are host"
    ):
        load_scenario("host-lost")


def test_what_nobody_else_starts_can_be_healed(tmp_path: Path) -> None:
    """PostgreSQL is started by Patroni; Patroni and etcd by nobody."""
    path = tmp_path / "mine.toml"
    kill = CUT.replace("link-cut", "process-kill") + "heal_at_s = 9\n"
    for process in ("patroni", "etcd"):
        path.write_text(HEAD + kill + f'process = "{process}"\n' + EXPECT)
        assert load_scenario(str(path)).faults[0].heal_at_s == 9


def test_what_lasts_alone_can_be_healed_alone(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    for key, kind in FAULTS.items():
        target = FORMS[kind.takes[0]].replace("NAME", "paris")
        step = CUT.replace("link-cut", key).replace("replicas", target) + "heal_at_s = 9\n"
        path.write_text(HEAD + step + EXPECT)
        if lasts(key):
            assert load_scenario(str(path)).faults[0].heal_at_s == 9
        else:
            words = f"{key} is over once it has struck: there is nothing to heal"
            assert words in refusal_of(tmp_path, HEAD + step + EXPECT)


STRIKE = CUT.replace("at_s = 3\n", "")
FIRST = STRIKE + "at_s = 0\n"


def steps_of(tmp_path: Path, text: str) -> tuple[FaultStep, ...]:
    path = tmp_path / "mine.toml"
    path.write_text(HEAD + text + EXPECT)
    return load_scenario(str(path)).faults


def test_a_fault_may_strike_in_a_window_or_after_an_event(tmp_path: Path) -> None:
    window, following, healed_after = steps_of(
        tmp_path,
        STRIKE
        + "at_s = [3, 8]\nheal_at_s = 9\n"
        + STRIKE
        + 'on = "first-acknowledged"\nafter_s = 2\nheal_on = "new-primary"\nheal_after_s = 4\n'
        + STRIKE
        + 'on = "healed"\nheal_after_s = 5\n',
    )
    assert (window.at_s, window.at_s_max, window.heal_at_s) == (3, 8, 9)
    assert not window.follows_events
    assert (following.on, following.after_s) == ("first-acknowledged", 2)
    assert (following.heal_on, following.heal_after_s) == ("new-primary", 4)
    assert (healed_after.on, healed_after.heal_on, healed_after.heal_after_s) == ("healed", None, 5)
    assert following.follows_events
    assert healed_after.has_own_heal


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (STRIKE, "fault[0].at_s: missing key; expected a number from 0 to 3600"),
        (
            STRIKE + "at_s = [8, 3]\n",
            "fault[0].at_s: expected [earliest, latest]: two numbers from 0 to 3600, the first "
            "below the second; found [8, 3]",
        ),
        (STRIKE + "at_s = [3]\n", "fault[0].at_s: expected [earliest, latest]"),
        (STRIKE + 'at_s = "3"\n', "fault[0].at_s: expected a number from 0 to 3600"),
        (
            STRIKE + "at_s = [3, 8]\nheal_at_s = 7\n",
            "fault[0].heal_at_s: expected more than the end of at_s = [3, 8]; found 7",
        ),
        (
            STRIKE + 'on = "whole"\n',
            "fault[0].on: whole is counted from the fault before it in the file, and this is the "
            "first",
        ),
        (
            FIRST + STRIKE + 'on = "new-primry"\n',
            "fault[1].on: expected struck, new-primary, first-acknowledged, whole, standby-named "
            'or healed; found "new-primry" (did you mean new-primary?)',
        ),
        (FIRST + STRIKE + 'on = "new-primary"\nat_s = 3\n', "fault[1].on: a fault strikes at a"),
        (FIRST + STRIKE + "at_s = 3\nafter_s = 3\n", "fault[1].after_s: is counted from an event"),
        (
            FIRST + STRIKE + 'on = "new-primary"\nheal_at_s = 3\n',
            "fault[1].heal_at_s: nobody knows when a fault strikes that follows on new-primary; "
            "heal_after_s counts from its strike, heal_on from an event after it",
        ),
        (
            FIRST + 'heal_at_s = 3\nheal_on = "new-primary"\n',
            "fault[0].heal_at_s: a fault is healed at a moment (heal_at_s), or after an event",
        ),
        (
            FIRST + 'heal_on = "whole"\n',
            "fault[0].heal_on: expected new-primary or first-acknowledged",
        ),
        (
            FIRST + STRIKE + 'on = "whole"\n',
            "fault[1].on: whole never comes while fault[0] lasts, which is healed only at the end; "
            "give it heal_at_s, heal_on or heal_after_s",
        ),
        (
            FIRST.replace("link-cut", "process-kill") + "heal_after_s = 4\n",
            "fault[0].heal_after_s: process-kill is over once it has struck",
        ),
        ("topology = 3\n" + FIRST, "topology: expected three-sites"),
    ],
)
def test_each_mistake_in_a_schedule_is_told(tmp_path: Path, text: str, words: str) -> None:
    message = refusal_of(tmp_path, HEAD + text + EXPECT)
    assert words in message
    assert "\n" not in message
