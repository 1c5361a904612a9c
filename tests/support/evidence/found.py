"""What one checker finds in a run, without the others."""

from __future__ import annotations

from functools import partial

from chaos.checkers.base import Checker
from chaos.evidence.run import Run
from chaos.findings import Finding
from chaos.timing import measure


def found_by(checker: Checker, run: Run) -> list[Finding]:
    """All that it finds; a crash of the checker is raised."""
    return list(checker.look(run, partial(measure, run)).findings)
