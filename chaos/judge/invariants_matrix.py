"""The matrix of invariants: of real runs, what was looked at when, and whether it held. Pure.

Four moments: ``before`` the fault, ``promoted`` (while it lasts, until the heal), ``rejoined``
(from the heal on), and ``restored``: what comes after all data were lost and restored in place.
What every node holds is read once, at the end of a run, and says something of its last moment.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from chaos.checkers.base import CheckResult
from chaos.evidence.events import FaultStruck, Phase
from chaos.evidence.records import Scalar
from chaos.evidence.run import Run
from chaos.findings import Verdict
from chaos.judge.judging import judge
from chaos.timing.load import phase_window
from chaos.wording import counted
from chaos.workloads.warehouse import check_readers
from chaos.workloads.warehouse.invariants import INVARIANTS, Invariant, LookedAt

MatrixColumn = Literal["before", "promoted", "rejoined", "restored"]
COLUMNS: tuple[MatrixColumn, ...] = get_args(MatrixColumn)
RESTORING = ("data-lost",)
"""Faults that end in a restore in place: what comes after them is ``restored``."""
ROUND_OF: Mapping[str, MatrixColumn] = {
    "before": "before",
    "meanwhile": "promoted",
    "withdrawn": "promoted",
    "promoted": "promoted",
    "rejoined": "rejoined",
    "restored": "restored",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixCell:
    """What was seen of one invariant at one moment, in all runs."""

    looks: int = 0
    broken: int = 0
    undecided: bool = False
    """A run lacks evidence for it."""
    ran: bool = False
    """A run was given that has this moment."""

    def __add__(self, other: MatrixCell) -> MatrixCell:
        return MatrixCell(
            looks=self.looks + other.looks,
            broken=self.broken + other.broken,
            undecided=self.undecided or other.undecided,
            ran=self.ran or other.ran,
        )

    @property
    def words(self) -> str:
        """``held (312)``, ``BROKEN (3 of 312)``, ``undecided``, ``not looked at``, ``not run``."""
        if self.broken:
            return f"BROKEN ({self.broken:,} of {max(self.looks, self.broken):,})"
        if not self.ran:
            return "not run"
        if not self.looks:
            return "not looked at"
        return f"undecided ({self.looks:,})" if self.undecided else f"held ({self.looks:,})"


Matrix = Mapping[str, Mapping[MatrixColumn, MatrixCell]]
"""By invariant and moment."""


def matrix_of(runs: Sequence[Run]) -> Matrix:
    """What all runs together have shown."""
    total = {one.id: {column: MatrixCell() for column in COLUMNS} for one in INVARIANTS}
    for run in runs:
        results = {result.name: result for result in judge(run).results}
        moments = _Moments(run)
        for invariant in INVARIANTS:
            result = results.get(invariant.checker)
            for column, seen in _seen(run, moments, invariant, result).items():
                total[invariant.id][column] += seen
    return total


class _Moments:
    """Which moment something belongs to, in one run."""

    def __init__(self, run: Run) -> None:
        lost_s = [event.t_s for event in run.events_of(FaultStruck) if event.fault in RESTORING]
        self._restored_s = min(lost_s, default=math.inf)
        fault, recovery = (phase_window(run, one) for one in (Phase.FAULT, Phase.RECOVERY))
        self._fault_s = fault.begin_s if fault else math.inf
        self._recovery_s = recovery.begin_s if recovery else math.inf

    @property
    def there(self) -> frozenset[MatrixColumn]:
        """The moments that the run has."""
        last: tuple[MatrixColumn, ...] = ("promoted", "rejoined")
        return frozenset({"before", *(("restored",) if self.is_restored else last)})

    @property
    def is_restored(self) -> bool:
        """The data were lost, and restored in place."""
        return self._restored_s < math.inf

    @property
    def end(self) -> MatrixColumn:
        """The last one."""
        return "restored" if self.is_restored else "rejoined"

    def at(self, t_s: float) -> MatrixColumn:
        """By the clock of the run."""
        if self.is_restored:
            return "before" if t_s < self._restored_s else "restored"
        if t_s < self._fault_s:
            return "before"
        return "promoted" if t_s < self._recovery_s else "rejoined"

    def of_round(self, moment: str, t_s: float) -> MatrixColumn:
        """By the name of a round of probes; where the data were lost, by its time."""
        return self.at(t_s) if self.is_restored else ROUND_OF.get(moment, self.end)


def _seen(
    run: Run, moments: _Moments, invariant: Invariant, result: CheckResult | None
) -> Mapping[MatrixColumn, MatrixCell]:
    found = {column: MatrixCell(ran=True) for column in moments.there}
    if result is None:
        return found
    looks = Counter(_LOOKS[invariant.look](run, moments, invariant.probes))
    proofs = [
        proof
        for finding in result.findings
        if finding.kind.word in invariant.finds and finding.verdict is Verdict.INVALID
        for proof in finding.evidence
    ]
    broken = Counter(_moment_of(run, moments, invariant.look, proof) for proof in proofs)
    undecided = result.verdict is Verdict.UNKNOWN
    for column in found:
        found[column] += MatrixCell(
            looks=looks[column],
            broken=broken[column],
            undecided=undecided and looks[column] > 0,
        )
    return found


def _moment_of(
    run: Run, moments: _Moments, look: LookedAt, proof: Mapping[str, Scalar]
) -> MatrixColumn:
    """When what a finding shows was so: by its round, by that of its read, or by its time."""
    t_s = next((proof[key] for key in ("t_s", "from_s") if key in proof), None)
    at_s = float(t_s) if isinstance(t_s, int | float) else math.inf
    moment = proof.get("moment")
    if isinstance(moment, str):
        return moments.of_round(moment, at_s)
    if look in ("snapshots", "cohorts", "streams"):
        ended = {op.id: op.ended_s for history in run.histories for op in history.operations}
        ended_s = ended.get(str(proof.get("id")))
        return moments.end if ended_s is None else moments.at(ended_s)
    return moments.end if at_s == math.inf else moments.at(at_s)


_Looking = Callable[[Run, _Moments, str], Iterator[MatrixColumn]]
"""The moment of each look, once a look."""


def _answers(run: Run, moments: _Moments, probes: str) -> Iterator[MatrixColumn]:
    for one in run.access.answers:
        if one.outcome != "unanswered" and probes in one.probe:
            yield moments.of_round(one.moment, one.begin_s)


def _prints(run: Run, moments: _Moments, probes: str) -> Iterator[MatrixColumn]:
    return (moments.of_round(one.moment, one.t_s) for one in run.access.prints if one.error is None)


def _trail(run: Run, moments: _Moments, probes: str) -> Iterator[MatrixColumn]:
    return (
        moments.of_round(one.moment, one.begin_s) for one in run.access.answers if one.is_access
    )


def _values(run: Run, moments: _Moments, probes: str) -> Iterator[MatrixColumn]:
    """Each error about something sealed, which a log might have."""
    wrong = {one.name for one in run.info.scenario.access.probes if one.expect == "error"}
    for one in run.access.answers:
        if one.probe in wrong and one.outcome == "error":
            yield moments.of_round(one.moment, one.begin_s)


def _streams(run: Run, moments: _Moments, probes: str) -> Iterator[MatrixColumn]:
    """Each large read of which it can be told where it had to begin."""
    for one, _, _ in check_readers.judged(run):
        yield moments.at(float(str(one.work["begin_s"])))


def _withdrawal(run: Run, moments: _Moments, probes: str) -> Iterator[MatrixColumn]:
    names = {one.probe: one.end_s for one in run.access.withdrawn if one.is_acknowledged}
    for one in run.access.answers:
        if one.probe in names and one.begin_s > names[one.probe] and one.outcome != "unanswered":
            yield moments.of_round(one.moment, one.begin_s)


def _operations(*kinds: str) -> _Looking:
    def of(run: Run, moments: _Moments, probes: str) -> Iterator[MatrixColumn]:
        for history in run.histories:
            for op in history.operations:
                if op.work.get("op") in kinds and op.ended_s is not None and op.outcome == "ok":
                    yield moments.at(op.ended_s)

    return of


def _service(run: Run, moments: _Moments, probes: str) -> Iterator[MatrixColumn]:
    """A look a site and moment: how it was served then."""
    for _ in run.info.client_sites:
        yield from moments.there


def _end(run: Run, moments: _Moments, probes: str) -> Iterator[MatrixColumn]:
    return (moments.end for read in run.final_reads if read.error is None)


_LOOKS: Mapping[LookedAt, _Looking] = {
    "answers": _answers,
    "prints": _prints,
    "trail": _trail,
    "withdrawal": _withdrawal,
    "snapshots": _operations("snapshot", "snapshot-on-primary"),
    "cohorts": _operations("cohort"),
    "service": _service,
    "end": _end,
    "values": _values,
    "streams": _streams,
}


def matrix_lines(matrix: Matrix, runs: Sequence[str]) -> Iterator[str]:
    """The matrix as a table of Markdown, with the runs that it is of."""
    yield f"Of {counted(len(runs), 'run')}: {', '.join(runs)}."
    yield ""
    yield f"| | {' | '.join(COLUMNS)} |"
    yield f"|---|{'---|' * len(COLUMNS)}"
    for one in INVARIANTS:
        cells = [matrix[one.id][column].words for column in COLUMNS]
        if not one.checker:
            cells = ["not judged"] * len(COLUMNS)
        yield f"| {one.id} | {' | '.join(cells)} |"
