"""The key figures and the table of the sites, as texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chaos.evidence.events import FaultStruck
from chaos.evidence.run import Run
from chaos.findings import Verdict
from chaos.judge.verdict_file import VerdictFile
from chaos.report import course
from chaos.report.access import access_lines
from chaos.report.reads import behind_words, waits
from chaos.report.words import (
    SHARED_WORDS,
    count,
    percent,
    predicted_words,
    seconds,
    size,
    through_words,
)
from chaos.timing import SiteTiming
from chaos.timing.hands import HandStep
from chaos.wording import counted, joined

UNKNOWN = "not known"
NONE = "–"
"""A cell to which nothing belongs (no fault, no outage)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One key figure: what it is, its value, and a line that says what to compare it with, in parts
    that should not be broken over lines."""

    name: str
    value: str
    notes: tuple[str, ...] = ()
    is_bad: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteRow:
    """One row of the table of the sites."""

    site: str
    acknowledged: str
    failed: str
    in_doubt: str
    rate: str
    latency: str
    outage: str
    availability: str


def key_figures(run: Run, verdict: VerdictFile) -> tuple[Figure, ...]:
    """The most important figures, in order."""
    return (
        _acknowledged(verdict),
        _in_doubt(verdict),
        _lost(run, verdict),
        Figure(
            name="Duplicated",
            value=UNKNOWN if verdict.duplicated is None else count(verdict.duplicated),
            notes=("entries that took effect more than once",),
            is_bad=bool(verdict.duplicated),
        ),
        *_shared_units(verdict),
        *_reads(verdict),
        *_access(verdict),
        _outage(run, verdict),
        *_by_hand(verdict),
        _availability(verdict),
        Figure(
            name="Split brain",
            value={True: "yes", False: "no", None: UNKNOWN}[verdict.split_brain],
            notes=("two primaries that acknowledged at the same time",),
            is_bad=bool(verdict.split_brain),
        ),
        _failovers(run),
    )


def site_rows(verdict: VerdictFile) -> tuple[SiteRow, ...]:
    """How each site was served."""
    return tuple(_site_row(site) for site in verdict.sites)


def _listed(parts: Sequence[str], mark: str) -> tuple[str, ...]:
    """The parts, each but the last with ``mark`` at its end."""
    return (*(f"{part}{mark}" for part in parts[:-1]), *parts[-1:])


def _acknowledged(verdict: VerdictFile) -> Figure:
    totals = verdict.operations
    return Figure(
        name="Acknowledged entries",
        value=count(verdict.acknowledged),
        notes=(f"of {count(totals.total)} asked for;", f"{count(totals.fail)} failed"),
    )


def _in_doubt(verdict: VerdictFile) -> Figure:
    totals = verdict.operations
    return Figure(
        name="Commits in doubt",
        value=count(totals.resolved + totals.info),
        notes=(
            f"{count(totals.resolved)} resolved by their id;",
            f"{count(totals.info)} still open",
        ),
    )


def _lost(run: Run, verdict: VerdictFile) -> Figure:
    allowed = counted(run.info.scenario.expect.lost_max, "entry", "entries")
    lost_bytes = verdict.rpo.lost_wal_bytes
    wal = "WAL lost not known" if lost_bytes is None else f"at least {size(lost_bytes)} of WAL"
    over_s = verdict.rpo.lost_over_s
    over = [] if over_s is None else [f"acknowledged over {seconds(over_s)}"]
    return Figure(
        name="Lost (RPO)",
        value=UNKNOWN if verdict.lost is None else count(verdict.lost),
        notes=_listed([f"allowed: {allowed}", *over, *([wal] if lost_bytes != 0 else [])], ";"),
        is_bad=bool(verdict.lost),
    )


def _shared_units(verdict: VerdictFile) -> tuple[Figure, ...]:
    """Nothing where the load shared none."""
    if not verdict.shared_units:
        return ()
    answer = verdict.answer_of("shared-units")
    already = counted(verdict.operations.already, "caller was", "callers were")
    return (
        Figure(
            name="Units of work sent by two sites",
            value=count(verdict.shared_units),
            notes=(
                f"{SHARED_WORDS[answer]};",
                f"{already} told that the other had",
            ),
            is_bad=answer is Verdict.INVALID,
        ),
    )


def _reads(verdict: VerdictFile) -> tuple[Figure, ...]:
    """Nothing where the load read nothing."""
    reads = verdict.reads
    if reads is None:
        return ()
    notes = [f"longest wait: {joined(waits(reads))}"] if waits(reads) else []
    notes += [behind_words(reads)] if reads.behind_on_primary else []
    return (
        Figure(
            name="Stale reads",
            value=UNKNOWN if reads.stale is None else count(reads.stale),
            notes=_listed(notes, ";"),
            is_bad=bool(reads.stale),
        ),
    )


def _access(verdict: VerdictFile) -> tuple[Figure, ...]:
    """Nothing where nobody was asked for."""
    access = verdict.access
    if access is None:
        return ()
    return (
        Figure(
            name="Wrong answers to probes",
            value=UNKNOWN if access.wrong is None else count(access.wrong),
            notes=_listed(access_lines(access), ";"),
            is_bad=bool(access.wrong or (access.trail is not None and access.trail.missing)),
        ),
    )


def _outage(run: Run, verdict: VerdictFile) -> Figure:
    limit_s = run.info.scenario.expect.rto_s_max
    servable = [site for site in verdict.sites if site.could_be_served]
    again = {site.served_again for site in servable or verdict.sites}
    if verdict.rto_s is not None:
        value = seconds(verdict.rto_s)
    elif not run.events_of(FaultStruck):
        value = NONE
    elif False in again:
        value = "not ended"
    else:
        value = UNKNOWN if None in again or not again else NONE
    predicted = verdict.rto_predicted_s
    notes = [f"predicted: {predicted_words(predicted.of_rto)}"] if predicted else []
    if predicted and predicted.of_rto.stock_s:
        low_s, high_s = predicted.of_rto.stock_s
        notes.append(f"without witnesses: {low_s:.1f} to {high_s:.1f}\u00a0s")
    if verdict.rto_s is not None and verdict.rto_blur_s:
        blur = seconds(verdict.rto_blur_s)
        notes.insert(0, f"give or take {blur}: a load process stood still")
    notes.append(f"allowed: {limit_s:g} s")
    if verdict.through is not None:
        notes.append(through_words(verdict.through))
    apart = [site.site for site in verdict.sites if not site.could_be_served]
    if apart and not servable:
        notes.append("no site could be served all the time")
    elif verdict.unservable_outage_s is not None:
        apart_s = seconds(verdict.unservable_outage_s)
        notes.append(f"{joined(apart)}, which could not be served: {apart_s}")
    if not run.events_of(FaultStruck):
        notes.insert(0, "no fault on record")
    return Figure(
        name="Longest outage of a site (RTO)",
        value=value,
        notes=_listed(notes, ";"),
        is_bad=value == "not ended" or (bool(servable) and (verdict.rto_s or 0.0) > limit_s),
    )


def _by_hand(verdict: VerdictFile) -> tuple[Figure, ...]:
    """How long people took, of the outage; nothing where nothing was done by hand."""
    return tuple(
        Figure(
            name="By hand",
            value=UNKNOWN if one.took_s is None else seconds((one.decided_s or 0.0) + one.took_s),
            notes=_listed(hand_notes(one), ";"),
        )
        for one in verdict.by_hand
    )


def hand_notes(one: HandStep) -> list[str]:
    """How long was decided, and how long it took to carry it out."""
    decided = [] if one.decided_s is None else [f"decided after {seconds(one.decided_s)}"]
    took = [] if one.took_s is None else [f"{one.fault} of {one.node} in {seconds(one.took_s)}"]
    return [*decided, *took]


def _availability(verdict: VerdictFile) -> Figure:
    known = [share for share in verdict.availability.values() if share is not None]
    parts = [
        f"{site}\u00a0{percent(share)}" if share is not None else f"{site} {UNKNOWN}"
        for site, share in verdict.availability.items()
    ]
    return Figure(
        name="Availability, lowest site",
        value=percent(min(known)) if known else UNKNOWN,
        # Many sites do not fit here; the table of the sites has them all.
        notes=_listed(parts, ",") if len(parts) <= 4 else (f"of {len(parts)} sites",),
    )


def _failovers(run: Run) -> Figure:
    changes = course.failovers(run)
    return Figure(
        name="Changes of the primary",
        value=count(len(changes)),
        notes=_listed([f"{a} → {b}" for a, b in changes], ",") or ("none on record",),
    )


def _site_row(site: SiteTiming) -> SiteRow:
    p50, p99 = (NONE if v is None else f"{v:.1f}" for v in (site.p50_ms, site.p99_ms))
    if site.outage_s is not None:
        outage = seconds(site.outage_s)
    else:
        outage = {True: NONE, False: "not ended", None: UNKNOWN}[site.served_again]
    if site.not_due:
        outage += " (could not be served)"
    return SiteRow(
        site=site.site,
        acknowledged=count(site.ok),
        failed=count(site.fail),
        in_doubt=f"{count(site.resolved)} / {count(site.info)}",
        rate=NONE if site.steady_rate_per_s is None else f"{site.steady_rate_per_s:.1f}",
        latency=f"{p50} / {p99}",
        outage=outage,
        availability=UNKNOWN if site.availability is None else percent(site.availability),
    )
