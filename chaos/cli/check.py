"""``bascule check`` and ``bascule report``: judge and draw a run folder again, offline."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from chaos.cli.enter import lab_pid
from chaos.cli.verdict_text import print_verdict, shown
from chaos.evidence.folder import read_run
from chaos.judge.exit_codes import of_verdict
from chaos.judge.folder import judge_folder
from chaos.judge.judging import build_verdict
from chaos.report import JUNIT, REPORT, write_reports

RUN = click.argument("run", type=click.Path(path_type=Path), metavar="RUN")


@click.command()
@RUN
@click.option("--json", "as_json", is_flag=True, help="Print verdict.json instead of text.")
def check(*, run: Path, as_json: bool) -> None:
    """Judge the evidence in a run folder again.

    It needs only the folder, on any machine, and no cluster. It compares the folder with its
    manifest: if anything differs from what the drill left, the verdict is at least UNKNOWN. It
    rewrites verdict.json, report.html and junit.xml. The exit code is the verdict's, also when the
    drill broke off or was interrupted: 0 VALID, 1 INVALID, 4 UNKNOWN.
    """
    judged = judge_folder(run, is_over=is_over(run))
    write_reports(run, judged.run, judged.verdict)
    if as_json:
        print(json.dumps(judged.verdict.to_json(), indent=2, ensure_ascii=False))
    else:
        print_verdict(run, judged)
    sys.exit(of_verdict(judged.verdict.verdict))


@click.command()
@RUN
def report(*, run: Path) -> None:
    """Draw report.html and junit.xml of a run folder again."""
    evidence = read_run(run, is_over=is_over(run))
    write_reports(run, evidence, build_verdict(evidence))
    for name in (REPORT, JUNIT):
        print(shown(run / name))


def is_over(run: Path) -> bool:
    """Whether its drill has ended; the manifest of a lab that is kept is written when it ends."""
    return lab_pid(run) is None
