"""Comments: whether a read that has a comment has all that were there before it was written.

Comments are blind inserts, perhaps into several tables; a read asks for all of them. Under strict
serializability one that was acknowledged before another began is older in every order: a read may
not have the younger one without it.

Source: the ``comments`` test of Jepsen's CockroachDB suite, which elle-cli took over.
"""

from __future__ import annotations

import bisect
from collections.abc import Hashable, Iterator, Sequence

from chaos.consistency.answer import Anomaly, HistoryAnswer, Proof
from chaos.consistency.attempts import ClientAttempt, refuse_others
from chaos.consistency.calls import capital, shown
from chaos.consistency.errors import HistoryValueError
from chaos.wording import counted

READ = "read"
WRITE = "write"

STRICT_SERIALIZABLE = "strict-serializable"


def judge(attempts: Sequence[ClientAttempt], *, level: str) -> HistoryAnswer:
    """Whether no read has a comment without one that was there before it.

    Raises:
        HistoryValueError: a read is no set, or an operation is neither a write nor a read.
    """
    refuse_others(attempts, (WRITE, READ))
    writes = [one for one in attempts if one.f == WRITE]
    began: dict[Hashable, ClientAttempt] = {}
    for one in writes:
        began.setdefault(_comment(one), one)
    acknowledged = [one for one in writes if one.is_ok]
    acknowledged.sort(key=lambda one: one.ended or 0)
    ends = [one.ended or 0 for one in acknowledged]
    reads = [one for one in attempts if one.f == READ and one.is_ok]
    counts = {"operations": len(attempts), "comments": len(began), "reads": len(reads)}
    wrong: list[tuple[ClientAttempt, ClientAttempt, ClientAttempt]] = []
    for read in reads:
        seen = _seen(read)
        written = [began[comment] for comment in seen if comment in began]
        youngest = max(written, key=lambda one: one.began, default=None)
        if youngest is None:
            continue
        before = acknowledged[: bisect.bisect_left(ends, youngest.began)]
        missing = next((one for one in before if _comment(one) not in seen), None)
        if missing is not None:
            wrong.append((read, youngest, missing))
    return HistoryAnswer.compared(
        model="comments",
        level=level,
        anomalies=list(_missing(wrong)),
        refuted_by=-1,
        holds=f"{capital(counted(len(reads), 'read'))}, none with a comment and without one that "
        "was there before it.",
        proof=Proof(
            method="What was acknowledged before the youngest comment of a read began was looked "
            "for in that read.",
            checked=len(reads),
        ),
        counts=counts,
        notes=() if reads else ("Nothing was read: nothing could be missing.",),
    )


def _missing(
    wrong: Sequence[tuple[ClientAttempt, ClientAttempt, ClientAttempt]],
) -> Iterator[Anomaly]:
    """Reads, each with a younger comment that it has and an older one that it lacks."""
    if not wrong:
        return
    read, younger, older = wrong[0]
    yield Anomaly(
        name="missing-comment",
        sentences=(
            f"{capital(str(older))}, of {shown(older.asked)}, was acknowledged before "
            f"{younger}, of {shown(younger.asked)}, began.",
            f"{capital(str(read))} has {shown(younger.asked)} and lacks {shown(older.asked)}.",
        ),
        evidence=tuple(
            one.evidence(has=shown(younger.asked), lacks=shown(older.asked))
            for one, younger, older in wrong
        ),
        count=len(wrong),
    )


def _comment(one: ClientAttempt) -> Hashable:
    if isinstance(one.asked, Hashable):
        return one.asked
    raise HistoryValueError(f"a write of {shown(one.asked)}, which is no comment", line=one.line)


def _seen(read: ClientAttempt) -> set[Hashable]:
    if isinstance(read.answered, list | tuple):
        wrong = [one for one in read.answered if not isinstance(one, Hashable)]
        if not wrong:
            return set(read.answered)
    raise HistoryValueError(
        f"a read of {shown(read.answered)}, which is no set of comments", line=read.end_line
    )
