"""The report of a run: ``report.html`` for people, ``junit.xml`` for CI systems."""

from __future__ import annotations

from pathlib import Path

from chaos.evidence.folder import read_run, write_whole
from chaos.evidence.run import Run
from chaos.evidence.verdict_file import VerdictFile, build_verdict
from chaos.report.html import render_html
from chaos.report.junit import render_junit

REPORT = "report.html"
JUNIT = "junit.xml"

__all__ = ["JUNIT", "REPORT", "render_html", "render_junit", "write_reports"]


def write_reports(run_path: Path) -> tuple[Run, VerdictFile]:
    """Judges the run folder and draws its reports into it again.

    Args:
        run_path: The run folder.

    Returns:
        The evidence and what was judged; writing ``verdict.json`` is left to who asked.

    Raises:
        RunFolderError: it is no run folder, or its ``run.json`` cannot be understood.
        OSError: a report cannot be written.
    """
    run = read_run(run_path)
    verdict = build_verdict(run)
    write_whole(run_path / REPORT, render_html(run, verdict))
    write_whole(run_path / JUNIT, render_junit(run, verdict))
    return run, verdict
