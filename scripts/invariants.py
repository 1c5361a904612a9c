"""Invariants of the warehouse: writes their page, and the matrix of real runs.

    python scripts/invariants.py                  # docs/reference/invariants.md, the table
    python scripts/invariants.py --check          # whether it is fresh
    python scripts/invariants.py RUN... [--json]  # which of them held when in these runs

A run without a restore in place leaves the column ``restored`` at "not run". Exit codes: 0, or 1
where an invariant is broken; 2 where a folder is no run.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from page_tables import write_or_check

from chaos.errors import ChaosError
from chaos.evidence.folder import read_run
from chaos.judge.invariants_matrix import COLUMNS, Matrix, matrix_lines, matrix_of
from chaos.workloads.warehouse.invariants import INVARIANTS, Invariant

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "invariants.md"


def row(one: Invariant) -> str:
    """A line of the page's table."""
    finds = ", ".join(f"`{word}`" for word in one.finds)
    checker = f"`{one.checker}` ({finds})" if one.checker else "none"
    tests = "<br>".join(f"`{test.rpartition('/')[2]}`" for test in one.rejects) or "none"
    return f"| {one.id} | {one.words} | {checker} | {tests} | {one.note} |"


def table() -> str:
    """The table of the page."""
    head = "| | what must hold | checker (findings) | a history that it must reject | besides |"
    return "\n".join((head, "|---|---|---|---|---|", *map(row, INVARIANTS)))


def as_json(matrix: Matrix, runs: list[str]) -> str:
    """For scripts: by invariant and moment, what was seen."""
    cells = {
        id_: {
            column: {
                "looks": columns[column].looks,
                "broken": columns[column].broken,
                "words": columns[column].words,
            }
            for column in COLUMNS
        }
        for id_, columns in matrix.items()
    }
    return json.dumps({"runs": runs, "invariants": cells}, indent=2)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUN", help="folders of runs")
    parser.add_argument("--check", action="store_true", help="whether the page is fresh")
    parser.add_argument("--json", action="store_true", help="the matrix for scripts")
    options = parser.parse_args()
    if not options.runs:
        return write_or_check(PAGE, {"invariants": table()})
    try:
        runs = [read_run(folder, is_over=True) for folder in options.runs]
    except (ChaosError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    names = [run.info.scenario.name for run in runs]
    matrix = matrix_of(runs)
    print(as_json(matrix, names) if options.json else "\n".join(matrix_lines(matrix, names)))
    return int(any(seen.broken for columns in matrix.values() for seen in columns.values()))


if __name__ == "__main__":
    sys.exit(main())
