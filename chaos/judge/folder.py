"""From a run folder to its verdict: a drill does it at its end, ``bascule check`` at any time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from chaos.evidence.folder import read_run
from chaos.evidence.run import Run
from chaos.judge.judging import build_verdict
from chaos.judge.verdict_file import VerdictFile, write_verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The evidence of a run folder, and what it proves."""

    run: Run
    verdict: VerdictFile


def judge_folder(folder: Path, *, is_over: bool = True) -> Judged:
    """Read the evidence of a run, judge it, and write ``verdict.json``.

    Args:
        folder: The run folder.
        is_over: No process writes it any more: it must have its manifest.

    Raises:
        RunFolderError: it is no run folder, or its ``run.json`` cannot be understood.
        OSError: the folder cannot be written.
    """
    run = read_run(folder, is_over=is_over)
    verdict = build_verdict(run)
    write_verdict(folder, verdict)
    return Judged(run=run, verdict=verdict)
