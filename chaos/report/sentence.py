"""The verdict in one sentence, composed from the facts of the run. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from chaos.checkers.dead_timeline import DEAD_TIMELINE
from chaos.checkers.duplicates import DUPLICATE
from chaos.checkers.lost import LOST_WRITE
from chaos.checkers.prediction import PREDICTION_REFUTED
from chaos.checkers.restored import RESTORE_LOSS
from chaos.checkers.shared_units import SHARED_UNIT
from chaos.evidence.events import LOADED_PHASES, Interrupted
from chaos.evidence.run import Run
from chaos.faults.registry import FAULTS
from chaos.findings import FindingKind, Verdict
from chaos.judge.verdict_file import VerdictFile
from chaos.report import course
from chaos.report.words import direct_words, seconds
from chaos.wording import counted, joined
from cluster.topology.proxies import PROXY_NAMES

_ENTRY = ("acknowledged entry", "acknowledged entries")


def verdict_sentence(run: Run, verdict: VerdictFile) -> str:
    """One sentence (for UNKNOWN two) that says the verdict and what it rests on.

    ``VALID: the loss of db-paris' host cost 22.4 s of writes; none of 5,812 acknowledged entries
    was lost.``
    """
    compose = {Verdict.VALID: _valid, Verdict.UNKNOWN: _unknown, Verdict.INVALID: _invalid}
    return f"{verdict.verdict.name}: {compose[verdict.verdict](run, verdict)}"


def _valid(run: Run, verdict: VerdictFile) -> str:
    causes = _causes(run, "noun")
    if not causes:
        served = f"without a fault, service was kept{_for_how_long(run)}"
    elif verdict.rto_s is None:
        served = f"{joined(causes)} interrupted no writes{_where(verdict)}"
    else:
        cost = f"cost {seconds(verdict.rto_s)} of writes{_through(verdict)}"
        served = f"{joined(causes)} {cost}{_as_predicted(verdict)}{_where(verdict)}"
    if verdict.lost:
        kept = f"{_share_of_acknowledged(verdict, verdict.lost)} lost, as the scenario allows"
    else:
        kept = f"{_none_of_acknowledged(verdict)} lost"
    return f"{served}; {_given_up(verdict)}{kept}."


def _given_up(verdict: VerdictFile) -> str:
    """What a restore of the cluster set back on purpose; nothing where none did."""
    number = sum(len(one.evidence) for one in verdict.findings if one.kind is RESTORE_LOSS)
    if not number:
        return ""
    return f"the restore gave up {counted(number, *_ENTRY)} from after its point in time, and else "


def _invalid(run: Run, verdict: VerdictFile) -> str:
    causes = _causes(run, "clause")
    begin = f"after {joined(causes)}" if causes else "without a fault"
    found = [
        _invalid_words(kind, verdict)
        for kind in dict.fromkeys(f.kind for f in verdict.findings if f.verdict is Verdict.INVALID)
    ]
    # A lost entry is always on a dead timeline, and no caller applied its unit of work: it is said
    # once. That another caller was told Applied too is a separate matter.
    if LOST_WRITE in _kinds(verdict, Verdict.INVALID):
        same = {DEAD_TIMELINE.proved}
        if not _told_twice(verdict):
            same.add(SHARED_UNIT.proved)
        found = [words for words in found if words not in same]
    cost = f"; writes stood still for {seconds(verdict.rto_s)}" if verdict.rto_s else ""
    cost += f"{_through(verdict)}{_as_predicted(verdict)}{_where(verdict)}" if cost else ""
    return f"{begin}, {joined(found)}{cost}."


def _as_predicted(verdict: VerdictFile) -> str:
    """Said where the outage had to last until the heal, and did."""
    predicted = verdict.rto_predicted_s
    if predicted is None or predicted.service != "none-until-healed" or predicted.sites:
        return ""
    if PREDICTION_REFUTED in {finding.kind for finding in verdict.findings}:
        return ""
    return ", until the heal, as topology and settings predict"


def _through(verdict: VerdictFile) -> str:
    """Said where the load went through a proxy: what writes got that went straight."""
    through = verdict.through
    if through is None:
        return ""
    direct_s = through.direct_rto_s
    beside = "" if direct_s is None else f" ({direct_words(direct_s)} straight to the members)"
    return f" through {PROXY_NAMES[through.proxy]}{beside}"


def _where(verdict: VerdictFile) -> str:
    """Said where some sites could not be served while others could: which, and what they waited."""
    apart = [site.site for site in verdict.sites if not site.could_be_served]
    if not apart or len(apart) == len(verdict.sites):
        return ""
    waited = verdict.unservable_outage_s
    cost = f" and waited {seconds(waited)}" if waited is not None else ""
    return f" elsewhere; {joined(apart)} could not be served meanwhile{cost}"


def _unknown(run: Run, verdict: VerdictFile) -> str:
    reasons = [f"the run was interrupted ({event.reason})" for event in run.events_of(Interrupted)]
    words = [k.undecided for k in _kinds(verdict, Verdict.UNKNOWN)]
    reasons = list(dict.fromkeys([*reasons, *words]))
    total = counted(verdict.acknowledged, *_ENTRY)
    if not verdict.acknowledged:
        kept = "No acknowledged entry is on record."
    elif verdict.lost is None:
        kept = f"Whether any of {total} was lost is not known."
    elif verdict.lost:
        kept = f"Of {total}, {verdict.lost:,} were lost."
    else:
        kept = f"Of {total} none was found lost."
    because = f", because {joined(reasons)}" if reasons else ""
    return f"the evidence cannot decide{because}. {kept}"


def _kinds(verdict: VerdictFile, of: Verdict) -> Sequence[FindingKind]:
    """The kinds of the findings with that verdict, each once, in order."""
    return tuple(dict.fromkeys(f.kind for f in verdict.findings if f.verdict is of))


def _share_of_acknowledged(verdict: VerdictFile, part: int) -> str:
    verb = "was" if part == 1 else "were"
    return f"{part:,} of {counted(verdict.acknowledged, *_ENTRY)} {verb}"


def _none_of_acknowledged(verdict: VerdictFile) -> str:
    return f"none of {counted(verdict.acknowledged, *_ENTRY)} was"


def _for_how_long(run: Run) -> str:
    """`` for 24.0 s``: how long load ran; nothing where the record does not say."""
    load = [span.to_s - span.from_s for span in course.phases(run) if span.value in LOADED_PHASES]
    return f" for {seconds(sum(load))}" if load else ""


def _told_twice(verdict: VerdictFile) -> bool:
    """Whether two callers of one unit of work were told that it was applied."""
    units = [
        proof["unit"]
        for finding in verdict.findings
        if finding.kind is SHARED_UNIT
        for proof in finding.evidence
        if proof["told"] == "Applied"
    ]
    return len(set(units)) < len(units)


def _invalid_words(kind: FindingKind, verdict: VerdictFile) -> str:
    if kind is LOST_WRITE and verdict.lost:
        return f"{_share_of_acknowledged(verdict, verdict.lost)} lost"
    if kind is DUPLICATE and verdict.duplicated:
        return f"{counted(verdict.duplicated, 'entry was', 'entries were')} written more than once"
    return kind.proved or kind.undecided


def _causes(run: Run, form: Literal["noun", "clause"]) -> list[str]:
    """The faults that struck, in words, in order."""
    found = []
    for mark in course.marks(run):
        if not mark.is_heal:
            found.append(_cause(run, mark, form))
    return found


def _cause(run: Run, mark: course.Mark, form: Literal["noun", "clause"]) -> str:
    if mark.fault not in FAULTS:  # of a run folder that another version wrote
        return mark.words
    kind = FAULTS[mark.fault]
    asked = {step.params for step in run.info.scenario.faults if step.fault == mark.fault}
    # Events have no parameters: where the scenario asks for several, its general words are right.
    words = kind.words_of(asked.pop()) if len(asked) == 1 else kind.words
    return (words.noun if form == "noun" else words.clause)(mark.targets)
