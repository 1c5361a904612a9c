"""How the command ends, for scripts: a code for each class of end (docs/reference/verdicts.md)."""

from __future__ import annotations

from chaos.findings import Verdict

PASSED = 0
"""Passed: the verdict is VALID, or a command that judges nothing did its work."""
FINDINGS = 1
"""Findings: the verdict is INVALID."""
USAGE = 2
"""Usage or configuration: an option, a scenario, a topology, a run folder or another file is wrong;
nothing was begun."""
COULD_NOT_RUN = 3
"""Could not run: this machine or its engine lacks something, or a drill broke off. A drill that had
begun is judged up to there."""
INCONCLUSIVE = 4
"""Inconclusive: the verdict is UNKNOWN, the evidence cannot decide."""
INTERRUPTED = 130
"""Interrupted: stopped by a signal. A drill that had begun is judged up to there."""

_OF_VERDICT = {
    Verdict.VALID: PASSED,
    Verdict.INVALID: FINDINGS,
    Verdict.UNKNOWN: INCONCLUSIVE,
}


def of_verdict(verdict: Verdict) -> int:
    """What a verdict means to a script."""
    return _OF_VERDICT[verdict]
