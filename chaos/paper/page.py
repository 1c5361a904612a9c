"""The paper as texts: what was shown, in the words of a language. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from chaos.evidence.run import SiteInfo
from chaos.faults.registry import FAULTS
from chaos.findings import Finding, Verdict
from chaos.paper.clauses import DEVIATIONS, EXERCISES, OBJECTIVES, LegalText, legal_texts
from chaos.paper.language import NO_BREAK, Language, day_and_time, unbreakable
from chaos.paper.shown import ObjectiveAnswer, ObjectiveFound, Shown, ShownRun, together
from chaos.paper.subjects import SubjectAnswer
from chaos.report import course

DEVIATIONS_MAX = 12
"""Half a page; the rest is in the ``verdict.json`` of the runs."""
EMPTY_DEVIATIONS = 2
"""Lines to be written on by hand."""
REFERENCE_CHARACTERS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeRow:
    """One exercise."""

    number: int
    when: str
    scenario: str
    struck: tuple[str, ...]
    outage: str
    lost: str
    verdict: str
    tone: str
    """``valid``, ``unknown`` or ``invalid``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRow:
    """A statement, and what was found: an objective, a subject."""

    words: str
    asked: str
    found: str
    answer: str
    tone: str
    """``held``, ``deviation``, ``undecided`` or ``silent``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviationRow:
    """A deviation; what follows from it is written by hand."""

    number: str
    words: str
    proofs: str
    checker: str
    weight: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClauseRow:
    """One clause, and what speaks to it."""

    number: str
    says: str
    shown: tuple[str, ...]
    beyond: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TextRows:
    """The clauses of one text."""

    name: str
    edition: str
    sureness: str
    standing: str
    is_doubtful: bool
    """Second-hand, or a yardstick only."""
    rows: tuple[ClauseRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofRow:
    """What proves that a run folder is what the drill left."""

    number: int
    folder: str
    sha256: str
    files: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperPage:
    """Everything that the template sets. Texts are escaped there."""

    language: str
    issued: str
    exercised: str
    reference: str
    organisation: str
    system: str
    sites: tuple[str, ...]
    substrate: tuple[str, ...]
    limits: tuple[str, ...]
    runs: tuple[ScopeRow, ...]
    objectives: tuple[AnswerRow, ...]
    subjects: tuple[AnswerRow, ...]
    restore: tuple[tuple[str, str], ...]
    """Empty: no run restored anything."""
    deviations: tuple[DeviationRow, ...]
    deviations_left_out: str
    empty_deviations: int
    proofs: tuple[ProofRow, ...]
    tool: str
    signatures: tuple[str, ...]
    texts: tuple[TextRows, ...]


def compose_paper(shown: Shown, words: Language, *, issued: date, version: str) -> PaperPage:
    """Puts the paper into words.

    Args:
        shown: What the runs have shown.
        words: The language.
        issued: The day on its head.
        version: Of Bascule.
    """
    asked = shown.asked
    rows, left_out = _deviations(shown, words)
    return PaperPage(
        language=words.code,
        issued=words.date(issued),
        exercised=_when(shown, words),
        reference=asked.reference or _reference(shown),
        organisation=asked.organisation or "",
        system=asked.system or "",
        sites=_sites(shown, words),
        substrate=tuple(dict.fromkeys(_substrate(run, words) for run in shown.runs)),
        limits=_limits(shown, words),
        runs=tuple(_scope_row(number, run, words) for number, run in _numbered(shown)),
        objectives=tuple(_objective_row(one, shown, words) for one in shown.objectives),
        subjects=tuple(_subject_row(key, answers, words) for key, answers in _subjects(shown)),
        restore=_restore(shown, words),
        deviations=rows,
        deviations_left_out=words.plural("deviation.left_out", left_out) if left_out else "",
        empty_deviations=EMPTY_DEVIATIONS,
        proofs=tuple(_proof(number, run, words) for number, run in _numbered(shown)),
        tool=words.say("proof.tool", version=version),
        signatures=tuple(words.say(f"signature.{one}") for one in _SIGNERS),
        texts=tuple(_text_rows(one, shown, words) for one in legal_texts()),
    )


_SIGNERS = ("lead", "continuity", "security")


def _numbered(shown: Shown) -> list[tuple[int, ShownRun]]:
    return list(enumerate(shown.runs, start=1))


def _number_of(run: ShownRun | None, shown: Shown) -> int:
    return next((number for number, one in _numbered(shown) if one is run), 0)


def _reference(shown: Shown) -> str:
    """The same runs have the same one, in whatever order they were given."""
    hashes = "\n".join(sorted(run.manifest_sha256 for run in shown.runs))
    return hashlib.sha256(hashes.encode("ascii")).hexdigest()[:REFERENCE_CHARACTERS]


def _when(shown: Shown, words: Language) -> str:
    """The day of the exercises, or the first and the last."""
    moments = [day_and_time(run.run.info.started_at) for run in shown.runs]
    days = sorted({moment.date() for moment in moments if moment is not None})
    ends = [words.date(day) for day in (days[:1] + days[1:][-1:])]
    return " – ".join(ends)


def _sites(shown: Shown, words: Language) -> tuple[str, ...]:
    """The sites of each topology, each topology once."""
    found: dict[tuple[SiteInfo, ...], str] = {}
    for run in shown.runs:
        sites = run.run.info.sites
        named = ", ".join(
            words.say("scope.site", name=site.name, hosts=_hosts(site, words)) for site in sites
        )
        found.setdefault(sites, f"{run.run.info.topology}{_colon(words)}{named}")
    return tuple(found.values())


def _hosts(site: SiteInfo, words: Language) -> str:
    roles = dict.fromkeys(role for host in site.hosts for role in host.roles)
    named = [words.words.get(f"scope.role_{role}", role) for role in roles]
    return f"{words.counted('host', len(site.hosts))}{_colon(words)}{', '.join(named)}"


def _colon(words: Language) -> str:
    return f"{NO_BREAK}: " if words.code == "fr" else ": "


def _substrate(run: ShownRun, words: Language) -> str:
    info = run.run.info
    name = info.substrate.get("name", "?")
    key = f"scope.{name}" if f"scope.{name}" in words.words else "scope.substrate_other"
    versions = {one: info.versions.get(one, "?") for one in ("postgresql", "patroni", "etcd")}
    return words.say(key, name=name, **versions)


def _limits(shown: Shown, words: Language) -> tuple[str, ...]:
    """What no run of these can prove, each once."""
    found = ["limit.model"]
    wans: list[str] = []
    for run in shown.runs:
        substrate = run.run.info.substrate
        data, wan = substrate.get("data"), substrate.get("wan")
        found.append(f"limit.{data}" if data in {"tmpfs", "layered"} else "limit.disk")
        if wan == "no delay":
            found.append("limit.no_delay")
        elif wan is not None:
            wans.append(words.say("limit.wan", wan=wan))
    runs = words.counted("run", len(shown.runs))
    texts = [words.say(key) for key in dict.fromkeys(found)]
    return (
        *texts,
        *dict.fromkeys(wans),
        words.say("limit.load"),
        words.say("limit.few", runs=runs),
    )


def _scope_row(number: int, run: ShownRun, words: Language) -> ScopeRow:
    strikes = [
        f"{_fault(mark.fault, words)}{_colon(words)}{', '.join(mark.targets)}"
        for mark in course.marks(run.run)
        if not mark.is_heal
    ]
    if not run.is_struck:
        outage = "–"
    elif run.outage_s is None:
        is_endless = run.outage_ended is False
        outage = words.say("objective.endless" if is_endless else "objective.undecided")
    else:
        outage = words.duration(run.outage_s)
    lost = words.say("objective.undecided") if run.lost is None else words.whole(run.lost)
    verdict = run.verdict.verdict
    return ScopeRow(
        number=number,
        when=words.moment(run.run.info.started_at),
        scenario=run.run.info.scenario.name,
        struck=tuple(strikes) or (words.say("scope.nothing_struck"),),
        outage=outage,
        lost=lost,
        verdict=words.say(f"verdict.{verdict.word}"),
        tone=verdict.word,
    )


def _fault(key: str, words: Language) -> str:
    """Its name; in another language than ours, where that has none, ours."""
    ours = FAULTS[key].words.title if key in FAULTS else key
    return words.words.get(f"fault.{key}", ours)


_OBJECTIVE_TONES = {
    ObjectiveAnswer.WITHIN: "held",
    ObjectiveAnswer.EXCEEDED: "deviation",
    ObjectiveAnswer.UNDECIDED: "undecided",
    ObjectiveAnswer.NOT_ASKED: "silent",
    ObjectiveAnswer.NOT_EXERCISED: "silent",
}


def _objective_row(one: ObjectiveFound, shown: Shown, words: Language) -> AnswerRow:
    return AnswerRow(
        words=words.say(f"objective.{one.key}"),
        asked=_asked_words(one, words),
        found=_found_words(one, shown, words),
        answer=words.say(f"objective.{one.answer}"),
        tone=_OBJECTIVE_TONES[one.answer],
    )


def _asked_words(one: ObjectiveFound, words: Language) -> str:
    if one.asked is None:
        return words.say("objective.not_asked_value")
    if one.key == "prd_entries":
        return words.counted("entry", int(one.asked))
    return words.duration(one.asked)


def _found_words(one: ObjectiveFound, shown: Shown, words: Language) -> str:
    """The worst that was found, and in which exercise."""
    if one.worst is None:
        return "–"
    number = _number_of(one.worst, shown)
    if one.found is None:
        is_endless = one.key == "dmia_s" and one.worst.outage_ended is False
        key = "objective.outage_endless" if is_endless else "objective.untold"
        return words.say(key, site=one.worst.outage_site, run=number)
    if one.key == "dmia_s":
        duration = words.duration(one.found)
        site = one.worst.outage_site
        return words.say("objective.outage", duration=duration, site=site, run=number)
    return _lost_words(one.key, one.found, one.worst, shown, words)


def _lost_words(key: str, found: float, worst: ShownRun, shown: Shown, words: Language) -> str:
    """A loss, as a time or in entries."""
    number = _number_of(worst, shown)
    if key == "prd_s":
        if not worst.lost:
            return words.say("objective.no_span")
        return words.say("objective.span", duration=words.duration(found), run=number)
    if not found:
        total = sum(run.verdict.acknowledged for run in shown.runs)
        return words.say("objective.none_lost", acknowledged=words.whole(total))
    return words.say(
        "objective.some_lost",
        lost=words.whole(int(found)),
        acknowledged=words.whole(worst.verdict.acknowledged),
        run=number,
    )


_SUBJECT_TONES = {
    SubjectAnswer.HELD: "held",
    SubjectAnswer.DEVIATION: "deviation",
    SubjectAnswer.UNDECIDED: "undecided",
    SubjectAnswer.NOT_EXERCISED: "silent",
}


def _subjects(shown: Shown) -> list[tuple[str, Sequence[SubjectAnswer]]]:
    return list(shown.answers.items())


def _subject_row(key: str, answers: Sequence[SubjectAnswer], words: Language) -> AnswerRow:
    return AnswerRow(
        words=words.say(f"subject.{key}"),
        asked="",
        found="",
        answer=_answer_words(answers, words),
        tone=_SUBJECT_TONES[together(answers)],
    )


def _answer_words(answers: Sequence[SubjectAnswer], words: Language) -> str:
    """What all runs say: the worst, and of how many."""
    worst = together(answers)
    if worst is SubjectAnswer.NOT_EXERCISED or len(answers) == 1:
        return words.say(f"answer.{worst}")
    runs, number = words.whole(len(answers)), words.whole(answers.count(worst))
    if worst is not SubjectAnswer.HELD:
        return words.say(f"answer.{worst}_of", number=number, runs=runs)
    key = "held_of" if answers.count(worst) == len(answers) else "held_some"
    return words.say(f"answer.{key}", held=number, runs=runs)


_AFTER_A_RESTORE = ("restore", "seals", "doors", "withdrawal", "trail")
"""What is verified after one (PGSSI-S 7.4.5.3: working, security, access control)."""


def _restore(shown: Shown, words: Language) -> tuple[tuple[str, str], ...]:
    """The fields of PGSSI-S 7.4.5.3; what the run does not know is empty, to be written by hand."""
    restored = [
        index
        for index, one in enumerate(shown.answers["restore"])
        if one is not SubjectAnswer.NOT_EXERCISED
    ]
    if not restored:
        return ()
    status = [
        _short(key, [shown.answers[key][index] for index in restored], words)
        for key in _AFTER_A_RESTORE
    ]
    days = [words.moment(shown.runs[index].run.info.started_at) for index in restored]
    fields: Mapping[str, str] = {
        "operator": shown.asked.operator or "",
        "requester": shown.asked.requester or "",
        "files": "",
        "backup_date": "",
        "restore_date": "; ".join(days),
        "status": "; ".join(status),
    }
    return tuple((words.say(f"restore.{key}"), value) for key, value in fields.items())


def _short(key: str, answers: Sequence[SubjectAnswer], words: Language) -> str:
    name = words.say(f"short.{key}")
    return words.say("short.of", name=name, answer=_answer_words(answers, words))


def _deviations(shown: Shown, words: Language) -> tuple[tuple[DeviationRow, ...], int]:
    """The rows that fit, objectives first, and how many did not."""
    rows = [
        DeviationRow(
            number=str(_number_of(one.worst, shown)),
            words=words.say("deviation.asked", name=words.say(f"objective.{one.key}")),
            proofs=_found_words(one, shown, words),
            checker="",
            weight=words.say("deviation.exceeded"),
        )
        for one in shown.exceeded
    ]
    for number, run in _numbered(shown):
        rows += [_deviation(number, finding, words) for finding in run.objections]
    return tuple(rows[:DEVIATIONS_MAX]), max(len(rows) - DEVIATIONS_MAX, 0)


def _deviation(number: int, finding: Finding, words: Language) -> DeviationRow:
    kind = finding.kind
    proved = finding.verdict is Verdict.INVALID
    proofs = len(finding.evidence)
    return DeviationRow(
        number=str(number),
        words=words.words.get(f"finding.{kind.word}", kind.heading),
        proofs=words.plural("deviation.proofs", proofs) if proofs else "",
        checker=finding.checker,
        weight=words.say("deviation.proved" if proved else "deviation.undecided"),
    )


def _proof(number: int, run: ShownRun, words: Language) -> ProofRow:
    manifest = run.run.manifest
    return ProofRow(
        number=number,
        folder=run.folder,
        sha256=run.manifest_sha256,
        files=words.whole(manifest.files if manifest else 0),
    )


def _text_rows(text: LegalText, shown: Shown, words: Language) -> TextRows:
    is_french = words.code == "fr"
    rows = [
        ClauseRow(
            number=clause.number,
            says=unbreakable(clause.fr) if is_french else clause.en,
            shown=tuple(part for key in clause.speaks for part in _speaks(key, shown, words)),
            beyond=unbreakable(clause.beyond_fr) if is_french else clause.beyond_en,
        )
        for clause in text.clause
    ]
    return TextRows(
        name=text.name if is_french else text.name_en or text.name,
        edition=unbreakable(text.edition_fr) if is_french else text.edition_en,
        sureness=words.say(f"sureness.{text.sureness}"),
        standing=words.say(f"standing.{text.standing}"),
        is_doubtful=text.sureness != "reproduction" or text.standing != "reference",
        rows=tuple(rows),
    )


def _speaks(key: str, shown: Shown, words: Language) -> list[str]:
    """What these runs say to it, in few words."""
    if key == OBJECTIVES:
        return [_short_objective(one, words) for one in shown.objectives if one.key in _IN_CLAUSES]
    if key == EXERCISES:
        runs = words.counted("run", len(shown.runs))
        return [words.say("clause.exercises", runs=runs, when=_when(shown, words))]
    if key == DEVIATIONS:
        if not shown.deviations:
            return [words.say("clause.deviations_none")]
        return [words.plural("clause.deviations", shown.deviations)]
    return [_short(key, shown.answers[key], words)]


_IN_CLAUSES = ("dmia_s", "prd_s")


def _short_objective(one: ObjectiveFound, words: Language) -> str:
    if one.found is not None:
        found = words.duration(one.found)
    elif one.worst is None:
        found = "–"
    else:
        is_endless = one.key == "dmia_s" and one.worst.outage_ended is False
        found = words.say("objective.endless" if is_endless else "objective.undecided")
    return words.say(
        "objective.short",
        name=words.say(f"name.{one.key}"),
        asked=_asked_words(one, words),
        found=found,
        answer=words.say(f"objective.{one.answer}"),
    )
