"""A synthetic run folder with its reports, as the shared fixtures hand it out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from support.evidence.synthetic_run import Story, write_run

from chaos.evidence.run import Run
from chaos.judge.folder import judge_folder
from chaos.judge.verdict_file import VerdictFile
from chaos.report import write_reports


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """A run folder that was judged and reported. Only read it: tests share it."""

    folder: Path
    run: Run
    verdict: VerdictFile

    @property
    def report(self) -> Path:
        """Its report."""
        return self.folder / "report.html"

    @property
    def html(self) -> str:
        """The text of its report."""
        return self.report.read_text(encoding="utf-8")


def reported(folder: Path, story: Story) -> Reported:
    """Writes the run folder of ``story`` and its reports."""
    write_run(folder, story)
    judged = judge_folder(folder)
    write_reports(folder, judged.run, judged.verdict)
    return Reported(folder=folder, run=judged.run, verdict=judged.verdict)
