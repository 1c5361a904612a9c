"""The report of a run: ``report.html`` for people, ``junit.xml`` for CI systems.

Draws what was judged, and judges nothing.
"""

from __future__ import annotations

from pathlib import Path

from chaos.evidence.manifest import JUNIT, REPORT
from chaos.evidence.run import Run
from chaos.evidence.whole_file import write_whole
from chaos.judge.verdict_file import VerdictFile
from chaos.report.html import render_html
from chaos.report.junit import render_junit

__all__ = ["JUNIT", "REPORT", "render_html", "render_junit", "write_reports"]


def write_reports(folder: Path, run: Run, verdict: VerdictFile) -> None:
    """Draws the reports of a run into its folder again.

    Args:
        folder: The run folder.
        run: Its evidence.
        verdict: What was judged of it.

    Raises:
        OSError: a report cannot be written.
    """
    write_whole(folder / REPORT, render_html(run, verdict))
    write_whole(folder / JUNIT, render_junit(run, verdict))
