"""From run folders to what they have shown. A folder that is not what its drill left is refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from chaos.errors import RunFolderError
from chaos.evidence.folder import read_run
from chaos.judge.judging import build_verdict
from chaos.paper.asked import Asked
from chaos.paper.shown import Shown, ShownRun, shown, shown_run
from chaos.wording import counted

PROBLEMS_NAMED = 3


class UnprovedRunError(RunFolderError):
    """A run folder whose evidence nobody can vouch for: no paper is written of it."""


def collect(folders: Sequence[Path], asked: Asked) -> Shown:
    """Reads, verifies and judges every folder. Nothing is written into any of them.

    Raises:
        RunFolderError: one is no run folder, or cannot be understood.
        UnprovedRunError: one differs from its manifest, has none, or was given twice.
    """
    runs: list[ShownRun] = []
    for folder in folders:
        found = _proved(folder)
        twice = [one for one in runs if one.manifest_sha256 == found.manifest_sha256]
        if twice:
            raise UnprovedRunError(f"{folder}: this run was given twice", folder=folder)
        runs.append(found)
    return shown(runs, asked)


def _proved(folder: Path) -> ShownRun:
    run = read_run(folder)
    if run.manifest is None:
        raise UnprovedRunError(
            f"{folder}: has no manifest, so nobody can tell whether the evidence is what the drill "
            "left; a paper needs a run that came to its end (bascule drill writes it last)",
            folder=folder,
        )
    problems = run.manifest.problems
    if problems:
        named = "; ".join(problems[:PROBLEMS_NAMED])
        more = len(problems) - PROBLEMS_NAMED
        rest = f"; and {counted(more, 'more problem', 'more problems')}" if more > 0 else ""
        raise UnprovedRunError(
            f"{folder}: the evidence is not what the drill left: {named}{rest}; no paper is written"
            " of it (bascule check says what it still proves)",
            folder=folder,
        )
    return shown_run(folder.resolve().name, run, build_verdict(run))
