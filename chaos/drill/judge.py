"""From a run folder to its verdict: a drill does it at its end, ``bascule check`` at any time."""

from __future__ import annotations

from pathlib import Path

from chaos.evidence.folder import write_verdict
from chaos.evidence.verdict_file import VerdictFile
from chaos.report import write_reports


def judge_folder(folder: Path) -> VerdictFile:
    """Judge the evidence of a run, and write ``verdict.json``, ``report.html``, ``junit.xml``.

    Raises:
        RunFolderError: it is no run folder, or its ``run.json`` cannot be understood.
        OSError: the folder cannot be written.
    """
    verdict = write_reports(folder)
    write_verdict(folder, verdict)
    return verdict
