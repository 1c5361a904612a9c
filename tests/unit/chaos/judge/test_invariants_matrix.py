"""The page of the invariants names what is there, and the matrix says what runs have shown."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from support.evidence.accesses import ESCAPE, answer, with_access, with_answers
from support.evidence.tiny import A, B, event
from support.evidence.warehoused import OPERATIONS, snapshot, steward_run, warehouse_run

from chaos.checkers.registry import CHECKERS
from chaos.evidence.run import Run
from chaos.judge.invariants_matrix import COLUMNS, matrix_lines, matrix_of
from chaos.workloads.warehouse.invariants import INVARIANTS

ROOT = Path(__file__).parents[4]


def test_every_invariant_names_a_checker_its_findings_and_tests_that_exist() -> None:
    known = {checker.name: {kind.word for kind in checker.finds} for checker in CHECKERS}
    wanted = [
        *(f"F{n}" for n in range(1, 8)),
        *(f"W{n}" for n in range(1, 6)),
        *(f"S{n}" for n in range(1, 8)),
        *(f"A{n}" for n in range(1, 6)),
    ]
    assert [one.id for one in INVARIANTS] == wanted
    for one in INVARIANTS:
        if not one.checker:
            assert one.note.startswith("no run judges it")
            assert not one.rejects
            continue
        assert set(one.finds) <= known[one.checker]
        assert one.finds
        assert one.rejects
        named = [*one.rejects, *re.findall(r"`(tests/[\w/]+\.py::\w+)`", one.note)]
        for test in named:
            path, _, name = test.partition("::")
            assert re.search(rf"def {name}\(", (ROOT / path).read_text()), test


def test_the_page_is_fresh() -> None:
    script = ROOT / "scripts" / "invariants.py"
    done = subprocess.run([sys.executable, str(script), "--check"], check=False)
    assert done.returncode == 0, "run: python scripts/invariants.py"


def with_moments(run: Run, *, restored: bool = False) -> Run:
    """The fault phase from 4 s on, recovery from 6 s on."""
    events = [
        event(0.5, "phase", phase="steady"),
        event(4.0, "phase", phase="fault"),
        *([event(20.0, "fault", fault="data-lost", target=A)] if restored else []),
        event(6.0, "phase", phase="recovery"),
        event(9.5, "phase", phase="quiesce"),
    ]
    return replace(run, events=tuple(events))


def test_what_was_looked_at_when_and_held() -> None:
    matrix = matrix_of([with_moments(with_access(warehouse_run()))])
    assert {column: matrix["W2"][column].words for column in COLUMNS} == {
        "before": "held (2)",  # one on a replica, one on the primary
        "promoted": "not looked at",
        "rejoined": "held (1)",
        "restored": "not run",
    }
    assert matrix["F1"]["rejoined"].words == "held (2)"  # both nodes, at the end
    assert matrix["F1"]["before"].words == "not looked at"
    assert matrix["S1"]["before"].words == "held (6)"  # three probes on two nodes
    assert matrix["S5"]["promoted"].words == "not looked at"  # nothing was withdrawn


def test_what_is_broken_stands_where_it_was_broken() -> None:
    torn = snapshot(3.2, {"paris-0": 1}, torn="paris-0")
    run = warehouse_run([torn if one.id == torn.id else one for one in OPERATIONS])
    good = with_access(run)
    escaped = with_answers(good, answer(ESCAPE, B, 5.0, rows=7, moment="promoted"))
    matrix = matrix_of([with_moments(escaped)])
    assert matrix["W2"]["before"].words == "BROKEN (1 of 2)"
    assert matrix["W2"]["rejoined"].broken == 0
    assert matrix["S1"]["promoted"].words.startswith("BROKEN (1 of")
    assert matrix["S1"]["before"].broken == matrix["S1"]["rejoined"].broken == 0


def test_several_runs_are_added_up_and_a_restore_has_its_own_column() -> None:
    plain = with_moments(with_access(steward_run()))
    restored = with_moments(with_access(steward_run()), restored=True)
    matrix = matrix_of([plain, restored])
    assert matrix["F7"]["rejoined"].looks == matrix["F7"]["restored"].looks == 2
    assert matrix["S1"]["before"].looks == 12
    assert matrix["S1"]["restored"].words == "held (12)"
    lines = list(matrix_lines(matrix, ["warehouse-host-loss", "restore"]))
    assert lines[0] == "Of 2 runs: warehouse-host-loss, restore."
    assert "| W5 | not looked at | not looked at | not looked at | not looked at |" in lines
    assert len(lines) == 4 + len(INVARIANTS)
