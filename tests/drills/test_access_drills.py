"""One drill that asks for everything of access; what it must find is counted here a second time.

A switchover, so that it is quick: a sealed member, one sealed by a setting of the session, one
whose login is withdrawn, and logs outside of PGDATA.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.commands.commands import LOW_LOAD, bascule_drill

pytestmark = pytest.mark.slow

NODES = {"db-paris", "db-orsay", "db-saint-cloud"}
SCENARIO = '''
name = "access"
title = "Everything that can be asked of access"
steady_s = 1
fault_s = 3
heal_when_service_is_back = true
after_heal_s = 1
recovery_s_max = 60
trail = true
setup = [
    "CREATE ROLE alice LOGIN",
    "CREATE ROLE bruno LOGIN",
    "CREATE ROLE claire LOGIN",
    "CREATE ROLE dora LOGIN",
    "ALTER ROLE alice SET log_statement = 'all'",
    "ALTER ROLE bruno SET log_statement = 'all'",
    "ALTER ROLE dora SET log_statement = 'all'",
    "ALTER ROLE bruno SET app.project = 'cardio'",
    "CREATE SCHEMA core",
    "GRANT USAGE ON SCHEMA core TO alice, bruno, dora",
    "CREATE TABLE core.patient (id integer PRIMARY KEY, project text NOT NULL)",
    "INSERT INTO core.patient SELECT n, 'cardio' FROM generate_series(1, 100) AS n",
    "INSERT INTO core.patient SELECT n, 'onco' FROM generate_series(101, 250) AS n",
    "ALTER TABLE core.patient ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY of_role ON core.patient TO alice, dora USING (project = 'cardio')",
    """CREATE POLICY of_setting ON core.patient TO bruno
       USING (project = current_setting('app.project', true))""",
    "GRANT SELECT ON core.patient TO alice, bruno, dora",
    "ALTER SYSTEM SET log_disconnections = 'on'",
]

[postgresql]
logging_collector = "on"
log_destination = "jsonlog"

[[probe]]
name = "alice reads"
as = "alice"
sql = "SELECT id FROM core.patient"
expect = "rows = 100"

[[probe]]
name = "dora sums"
as = "dora"
sql = "SELECT sum(id) FROM core.patient"
expect = "same"

[[probe]]
name = "bruno forges"
as = "bruno"
sql = ["SET app.project = 'onco'", "SELECT id FROM core.patient"]
expect = "rows = 0"

[[probe]]
name = "claire is a stranger"
as = "claire"
sql = "SELECT id FROM core.patient"
expect = "refused"

[[withdrawal]]
probe = "dora sums"
sql = "ALTER ROLE dora NOLOGIN"
at_s = 1
within_s = 10

[[fault]]
fault = "switchover"
target = "primary"
at_s = 2

[expect]
failover = "must"
rto_s_max = 30
'''


class Access:
    """The drill, and its record of access."""

    def __init__(self, folder: Path, exit_code: int, output: str) -> None:
        self.exit_code = exit_code
        self.output = output
        self.verdict: dict[str, Any] = json.loads((folder / "verdict.json").read_text())
        lines = (folder / "access.jsonl").read_text().splitlines()
        self.lines: list[dict[str, Any]] = [json.loads(line) for line in lines]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["type"] == kind]

    def verdict_of(self, checker: str) -> str:
        [found] = [one for one in self.verdict["checkers"] if one["name"] == checker]
        return f"{found['verdict']} {found['unseen']}"


@pytest.fixture(scope="module")
def drill(tmp_path_factory: pytest.TempPathFactory) -> Access:
    folder = tmp_path_factory.mktemp("access")
    path = folder / "access.toml"
    path.write_text(SCENARIO)
    done = bascule_drill(folder / "run", str(path), "--seed", "7", *LOW_LOAD)
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    return Access(folder / "run", done.returncode, done.stdout)


def test_a_seal_that_is_a_setting_is_found_broken(drill: Access) -> None:
    assert drill.exit_code == 1
    assert {one["kind"] for one in drill.verdict["findings"]} == {"seal-broken", "door-differs"}
    [finding] = [one for one in drill.verdict["findings"] if one["kind"] == "seal-broken"]
    assert "bruno forges (as bruno): expected 0 rows; found 150 rows" in finding["summary"]
    assert {proof["node"] for proof in finding["evidence"]} == NODES
    assert "NOT as expected" in drill.output


def test_everybody_else_saw_what_is_theirs_on_every_node(drill: Access) -> None:
    whole = [line for line in drill.of("answer") if line["moment"] in {"before", "rejoined"}]
    assert {(one["node"], one["moment"]) for one in whole} == {
        (node, moment) for node in NODES for moment in ("before", "rejoined")
    }
    before = [one for one in whole if one["moment"] == "before"]
    assert {(one["probe"], one["outcome"], one.get("rows")) for one in before} == {
        ("alice reads", "rows", 100),
        ("dora sums", "rows", 1),
        ("bruno forges", "rows", 150),
        ("claire is a stranger", "refused", None),
    }
    assert len({one["digest"] for one in before if one["probe"] == "dora sums"}) == 1


def test_what_only_one_node_has_is_found_and_all_else_is_alike(drill: Access) -> None:
    """``ALTER SYSTEM`` on the first primary: no replica has heard of it."""
    altered = "ALTER SYSTEM log_disconnections"
    found = [one for one in drill.verdict["findings"] if one["kind"] == "door-differs"]
    items = {proof["item"] for one in found for proof in one["evidence"]}
    assert items == {altered, "setting log_disconnections"}, "in force since it was restarted"
    prints = [one for one in drill.of("print") if "error" not in one]
    assert {one["node"] for one in prints if one["moment"] == "rejoined"} == NODES
    having = {one["node"] for one in prints if altered in one["doors"]}
    assert having == {
        one["node"] for one in prints if one["moment"] == "before" and one["is_primary"]
    }
    assert {one["doors"]["setting log_directory"] for one in prints} == {"../log"}
    assert {one["doors"]["HBA rule 1"] for one in prints} == {"local all all scram-sha-256"}
    assert "policy of_role on core.patient" in prints[0]["rights"]


def test_what_was_withdrawn_is_refused_everywhere_in_time(drill: Access) -> None:
    assert drill.verdict_of("withdrawal") == "valid []"
    [withdrawal] = drill.of("withdrawal")
    later = [
        line
        for line in drill.of("answer")
        if line["role"] == "dora" and line["begin_s"] > withdrawal["t_s"] + 5
    ]
    assert {one["node"] for one in later if one["outcome"] == "refused"} == NODES
    assert {one.get("sqlstate") for one in later if one["outcome"] != "unanswered"} == {"28000"}
    [told] = drill.verdict["access"]["withdrawals"]
    assert 0 <= told["longest_s"] < 10


def test_every_access_of_whom_is_logged_is_in_the_trail(drill: Access) -> None:
    assert drill.verdict_of("trail") == "valid []"
    entries = {id_: user for one in drill.of("trail") for id_, user in one["entries"].items()}
    acknowledged = {
        line["id"]: line["role"]
        for line in drill.of("answer")
        if line["logged_in"] and line["outcome"] in {"rows", "refused"}
    }
    assert len(acknowledged) > 20
    assert set(acknowledged.values()) == {"alice", "bruno", "claire", "dora"}
    assert acknowledged.items() <= entries.items()
    assert not [one for one in drill.of("trail") if one["directory"] != "../log"]
