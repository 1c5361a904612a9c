"""The verdict in one sentence, composed from the facts of the run. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from chaos.evidence.run import Run
from chaos.evidence.verdict_file import VerdictFile
from chaos.report import course
from chaos.report.words import counted, joined, possessive, seconds, unknown_words
from chaos.verdict import FindingKind, Verdict

_ENTRY = ("acknowledged entry", "acknowledged entries")


def verdict_sentence(run: Run, verdict: VerdictFile) -> str:
    """One sentence (for UNKNOWN two) that says the verdict and what it rests on.

    ``VALID: the loss of db-paris' host cost 22.4 s of writes; none of 5,812 acknowledged entries
    was lost.``
    """
    compose = {Verdict.VALID: _valid, Verdict.UNKNOWN: _unknown, Verdict.INVALID: _invalid}
    return f"{verdict.verdict.name}: {compose[verdict.verdict](run, verdict)}"


def _valid(run: Run, verdict: VerdictFile) -> str:
    causes = _causes(run, _AS_NOUN)
    if not causes:
        served = f"without a fault, service was kept{_for_how_long(run)}"
    elif verdict.rto_s is None:
        served = f"{joined(causes)} interrupted no writes"
    else:
        served = f"{joined(causes)} cost {seconds(verdict.rto_s)} of writes"
    if verdict.lost:
        kept = f"{_share_of_acknowledged(verdict, verdict.lost)} lost, as the scenario allows"
    else:
        kept = f"{_none_of_acknowledged(verdict)} lost"
    return f"{served}; {kept}."


def _invalid(run: Run, verdict: VerdictFile) -> str:
    causes = _causes(run, _AS_CLAUSE)
    begin = f"after {joined(causes)}" if causes else "without a fault"
    found = [
        _invalid_words(kind, verdict)
        for kind in dict.fromkeys(f.kind for f in verdict.findings if f.verdict is Verdict.INVALID)
    ]
    # A lost entry is on a dead timeline by its nature: said once, the reader has it.
    if FindingKind.LOST_WRITE in _kinds(verdict, Verdict.INVALID):
        found = [words for words in found if words != _INVALID_WORDS[FindingKind.DEAD_TIMELINE]]
    cost = f"; writes stood still for {seconds(verdict.rto_s)}" if verdict.rto_s else ""
    return f"{begin}, {joined(found)}{cost}."


def _unknown(run: Run, verdict: VerdictFile) -> str:
    reasons = [
        f"the run was interrupted ({event.fields.get('reason')})"
        for event in run.events_of("interrupted")
    ]
    words = [unknown_words(k) for k in _kinds(verdict, Verdict.UNKNOWN)]
    reasons = list(dict.fromkeys([*reasons, *words]))
    total = counted(verdict.acknowledged, *_ENTRY)
    if verdict.lost is None:
        kept = f"Whether any of {total} was lost is not known."
    elif verdict.lost:
        kept = f"Of {total}, {verdict.lost:,} were lost."
    else:
        kept = f"Of {total} none was found lost."
    return f"the evidence cannot decide, because {joined(reasons)}. {kept}"


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
    load = [
        span.to_s - span.from_s
        for span in course.phases(run)
        if span.value in {"steady", "fault", "recovery"}
    ]
    return f" for {seconds(sum(load))}" if load else ""


def _invalid_words(kind: FindingKind, verdict: VerdictFile) -> str:
    if kind is FindingKind.LOST_WRITE and verdict.lost:
        return f"{_share_of_acknowledged(verdict, verdict.lost)} lost"
    if kind is FindingKind.DUPLICATE and verdict.duplicated:
        return f"{counted(verdict.duplicated, 'entry was', 'entries were')} written more than once"
    return _INVALID_WORDS.get(kind) or unknown_words(kind)


_INVALID_WORDS = {
    FindingKind.LOST_WRITE: "acknowledged entries were lost",
    FindingKind.PHANTOM_WRITE: "entries were found that nobody wrote",
    FindingKind.DUPLICATE: "entries were written more than once",
    FindingKind.SPLIT_BRAIN: "two primaries acknowledged writes at the same time",
    FindingKind.DEAD_TIMELINE: "writes were acknowledged on a timeline that did not survive",
    FindingKind.DIVERGENT_REPLICA: "replicas differ in content",
    FindingKind.SERVICE_NOT_KEPT: "service was not restored as demanded",
    FindingKind.UNEXPECTED_FAILOVER: "the cluster failed over where it must not",
    FindingKind.MISSING_FAILOVER: "the cluster did not fail over where it must",
    FindingKind.STUCK_CLUSTER: "the cluster was not whole again in time",
    FindingKind.UNEXPECTED_EXIT: "a process died that nobody had killed",
    FindingKind.SETTINGS_NOT_IN_FORCE: "commits were not protected as was asked for",
    FindingKind.IN_DOUBT_UNRESOLVED: "operations were left in doubt that could have been resolved",
    FindingKind.WRONG_TOTAL: "the total of all balances was not kept",
    FindingKind.WRONG_BALANCE: "balances were not what their transfers say",
    FindingKind.TORN_CHUNK: "chunks of the bulk load were not whole",
    FindingKind.BULK_UNFINISHED: "bulk loads did not come to an end",
}


def _links(hosts: Sequence[str]) -> str:
    return f"the link{'s' if len(hosts) > 1 else ''} of {joined(hosts)}"


_AS_NOUN: Mapping[str, Callable[[Sequence[str]], str]] = {
    "host-power-cut": lambda hosts: f"the loss of {joined([possessive(h) for h in hosts])} host",
    "process-kill": lambda hosts: f"the crash of PostgreSQL on {joined(hosts)}",
    "link-cut": lambda hosts: f"the cut of {_links(hosts)}",
    "switchover": lambda hosts: f"the switchover away from {joined(hosts)}",
}

_AS_CLAUSE: Mapping[str, Callable[[Sequence[str]], str]] = {
    "host-power-cut": lambda hosts: f"{joined([possessive(h) for h in hosts])} host was lost",
    "process-kill": lambda hosts: f"PostgreSQL on {joined(hosts)} was killed",
    "link-cut": lambda hosts: f"{_links(hosts)} {'was' if len(hosts) == 1 else 'were'} cut",
    "switchover": lambda hosts: f"a switchover away from {joined(hosts)}",
}


def _causes(run: Run, forms: Mapping[str, Callable[[Sequence[str]], str]]) -> list[str]:
    """The faults that struck, in words, in order."""
    found = []
    for mark in course.marks(run):
        if not mark.is_heal:
            form = forms.get(mark.fault)
            found.append(form(mark.targets) if form else mark.words)
    return found
