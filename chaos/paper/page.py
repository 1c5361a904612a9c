"""The paper as texts: what was shown, in the words of a language. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from chaos.checkers.restored import loss_s
from chaos.evidence.given_up import given_up_operations
from chaos.evidence.run import SiteInfo
from chaos.faults.registry import FAULTS
from chaos.findings import Finding, Verdict
from chaos.paper.answers import (
    AnswerRow,
    days_of,
    found_words,
    number_of,
    numbered,
    objective_row,
    short,
    subject_row,
)
from chaos.paper.clause_rows import TextRows, text_rows
from chaos.paper.clauses import legal_texts
from chaos.paper.language import NO_BREAK, Language
from chaos.paper.shown import Shown, ShownRun
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
class DeviationRow:
    """A deviation; what follows from it is written by hand."""

    number: str
    words: str
    proofs: str
    checker: str
    weight: str


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
        exercised=days_of(shown, words),
        reference=asked.reference or _reference(shown),
        organisation=asked.organisation or "",
        system=asked.system or "",
        sites=_sites(shown, words),
        substrate=tuple(dict.fromkeys(_substrate(run, words) for run in shown.runs)),
        limits=_limits(shown, words),
        runs=tuple(_scope_row(number, run, words) for number, run in numbered(shown)),
        objectives=tuple(objective_row(one, shown, words) for one in shown.objectives),
        subjects=tuple(subject_row(key, answers, words) for key, answers in _subjects(shown)),
        restore=_restore(shown, words),
        deviations=rows,
        deviations_left_out=words.plural("deviation.left_out", left_out) if left_out else "",
        empty_deviations=EMPTY_DEVIATIONS,
        proofs=tuple(_proof(number, run, words) for number, run in numbered(shown)),
        tool=words.say("proof.tool", version=version),
        signatures=tuple(words.say(f"signature.{one}") for one in _SIGNERS),
        texts=tuple(text_rows(one, shown, words) for one in legal_texts()),
    )


_SIGNERS = ("lead", "continuity", "security")


def _reference(shown: Shown) -> str:
    """The same runs have the same one, in whatever order they were given."""
    hashes = "\n".join(sorted(run.manifest_sha256 for run in shown.runs))
    return hashlib.sha256(hashes.encode("ascii")).hexdigest()[:REFERENCE_CHARACTERS]


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
    texts = [words.say(key) for key in dict.fromkeys(found)]
    return (
        *texts,
        *dict.fromkeys(wans),
        words.say("limit.load"),
        words.plural("limit.few", len(shown.runs)),
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
    """Its name: English has it from the fault itself. A fault that is no longer known has its
    key."""
    ours = FAULTS[key].words.title if key in FAULTS else key
    return words.words.get(f"fault.{key}", ours)


def _subjects(shown: Shown) -> list[tuple[str, Sequence[SubjectAnswer]]]:
    """Where a cluster was restored in place, the statement of the data leaves out what that gave up
    on purpose, and says so."""
    rebuilt = any(run.run.rebuilds for run in shown.runs)
    return [
        ("data_restored" if rebuilt and key == "data" else key, answers)
        for key, answers in shown.answers.items()
    ]


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
        short(key, [shown.answers[key][index] for index in restored], words)
        for key in _AFTER_A_RESTORE
    ]
    runs = [shown.runs[index] for index in restored]
    tests = [one for run in runs for one in run.run.restores]
    rebuilds = [one for run in runs for one in run.run.rebuilds]
    copies = [
        words.say("restore.copy", host=one.record.host, entry=one.record.entry) for one in tests
    ]
    copies += [words.say("restore.in_place", host=one.host, entry=one.entry) for one in rebuilds]
    taken = [one.backed_up_at for one in tests] + [one.backed_up_at for one in rebuilds]
    moments = sorted({words.moment(moment.isoformat()) for moment in taken if moment is not None})
    days = [words.moment(shown.runs[index].run.info.started_at) for index in restored]
    between = words.say("clause.between")
    fields: Mapping[str, str] = {
        "operator": shown.asked.operator or "",
        "requester": shown.asked.requester or "",
        "files": between.join(copies),
        "backup_date": between.join(moments),
        "restore_date": between.join(dict.fromkeys(days)),
        "status": between.join(status),
        **_in_place(runs, words),
    }
    return tuple((words.say(f"restore.{key}"), value) for key, value in fields.items())


def _in_place(runs: Sequence[ShownRun], words: Language) -> Mapping[str, str]:
    """What the restores of a whole cluster cost; nothing where none was restored in place."""
    rebuilt = [run for run in runs if run.run.rebuilds]
    if not rebuilt:
        return {}
    between = words.say("clause.between")
    rebuilds = [one for run in rebuilt for one in run.run.rebuilds]
    took = [words.duration(one.took_s) for one in rebuilds if one.took_s is not None]
    given_up = []
    for run in rebuilt:
        gone = given_up_operations(run.run)
        entries = words.counted("entry", len(gone))
        back = words.duration(loss_s(run.run, gone))
        given_up.append(words.say("restore.gave_up", entries=entries, duration=back))
    again = sum(len(one.withdrawn_again) for one in rebuilds)
    return {
        "took": between.join(took),
        "loss": between.join(given_up),
        "again": words.whole(again),
    }


def _deviations(shown: Shown, words: Language) -> tuple[tuple[DeviationRow, ...], int]:
    """The rows that fit, objectives first, and how many did not."""
    rows = [
        DeviationRow(
            number=str(number_of(one.worst, shown)),
            words=words.say("deviation.asked", name=words.say(f"objective.{one.key}")),
            proofs=found_words(one, shown, words),
            checker="",
            weight=words.say("deviation.exceeded"),
        )
        for one in shown.exceeded
    ]
    for number, run in numbered(shown):
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
