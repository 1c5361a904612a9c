"""``bascule check`` and ``bascule report``: judge and draw a run folder again, offline."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from chaos.cli.verdict_text import print_verdict, shown
from chaos.drill.judge import judge_folder
from chaos.exit_codes import of_verdict
from chaos.report import JUNIT, REPORT, write_reports

RUN = click.argument("run", type=click.Path(path_type=Path), metavar="RUN")


@click.command()
@RUN
@click.option("--json", "as_json", is_flag=True, help="Print verdict.json instead of words.")
def check(*, run: Path, as_json: bool) -> None:
    """Judge the evidence in a run folder again.

    Needs no cluster: the folder is enough, on any machine. Rewrites verdict.json, report.html and
    junit.xml. The exit code is the verdict's, also where the drill broke off or was interrupted:
    0 VALID, 1 INVALID, 4 UNKNOWN.
    """
    judged = judge_folder(run)
    if as_json:
        print(json.dumps(judged.verdict.to_json(), indent=2, ensure_ascii=False))
    else:
        print_verdict(run, judged)
    sys.exit(of_verdict(judged.verdict.verdict))


@click.command()
@RUN
def report(*, run: Path) -> None:
    """Draw report.html and junit.xml of a run folder again."""
    write_reports(run)
    for name in (REPORT, JUNIT):
        print(shown(run / name))
