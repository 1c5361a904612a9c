"""From a run folder to its verdict: a drill does it at its end, ``bascule check`` at any time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from chaos.evidence.folder import write_verdict
from chaos.evidence.run import Run
from chaos.evidence.verdict_file import VerdictFile
from chaos.report import write_reports
from chaos.report.sentence import verdict_sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A run folder, read once, and what it proves."""

    run: Run
    verdict: VerdictFile
    sentence: str
    """The verdict in one sentence."""


def judge_folder(folder: Path) -> Judged:
    """Judge the evidence of a run, and write ``verdict.json``, ``report.html``, ``junit.xml``.

    Raises:
        RunFolderError: it is no run folder, or its ``run.json`` cannot be understood.
        OSError: the folder cannot be written.
    """
    run, verdict = write_reports(folder)
    write_verdict(folder, verdict)
    return Judged(run=run, verdict=verdict, sentence=verdict_sentence(run, verdict))
