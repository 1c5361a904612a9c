"""A verdict in words, for a terminal."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

from chaos.evidence.run import Manifest
from chaos.findings import Verdict
from chaos.judge.folder import Judged
from chaos.judge.verdict_file import ReadTotals, VerdictFile
from chaos.report.access import access_lines
from chaos.report.figures import hand_notes
from chaos.report.reads import behind_words, waits
from chaos.report.sentence import verdict_sentence
from chaos.report.words import (
    SHARED_WORDS,
    manifest_words,
    percent,
    predicted_words,
    through_words,
)
from chaos.timing import RTO_PHASES, Prediction, SiteTiming
from chaos.wording import counted, joined

STYLES = {
    Verdict.VALID: "bold white on dark_green",
    Verdict.UNKNOWN: "bold black on yellow",
    Verdict.INVALID: "bold white on dark_red",
}
PHASE_WORDS = {
    "fault_to_leader_key_gone": "until the leader key was gone",
    "to_decision_by_hand": "until somebody promoted the standby cluster",
    "to_new_leader_key": "until a new leader key",
    "to_promoted": "until promoted",
    "to_first_acknowledged": "until the first acknowledged write",
}
FINDINGS_SHOWN = 6


def print_verdict(folder: Path, judged: Judged) -> None:
    """Print the verdict, its figures and its findings."""
    verdict = judged.verdict
    out = Console(file=sys.stdout, highlight=False, soft_wrap=True)
    out.print()
    word = verdict.verdict.name
    sentence = verdict_sentence(judged.run, verdict).removeprefix(f"{word}: ")
    out.print(Text.assemble((f" {word} ", STYLES[verdict.verdict]), "  ", (sentence, "bold")))
    out.print()
    for line in facts(verdict):
        out.print(line)
    for finding in verdict.findings[:FINDINGS_SHOWN]:
        style = "red" if finding.verdict is Verdict.INVALID else "yellow"
        out.print(Text.assemble(("  finding  ", style), f"{finding.kind}: {finding.summary}"))
    if len(verdict.findings) > FINDINGS_SHOWN:
        out.print(f"  and {len(verdict.findings) - FINDINGS_SHOWN} more findings")
    out.print()
    out.print(f"  report    {shown(folder / 'report.html')}")
    out.print(f"  manifest  {manifest_line(verdict.manifest)}")
    out.print(f"  replay    {verdict.command}")


def manifest_line(manifest: Manifest | None) -> str:
    """The hash to keep elsewhere, and whether the folder matches the manifest."""
    words = manifest_words(manifest)
    return words if manifest is None else f"{manifest.sha256}  {words}"


def _predicted(prediction: Prediction) -> str:
    if prediction.service == "returns":
        words = f"predicted {_span(prediction.low_s, prediction.high_s)}"
        stock_s = prediction.stock_s
        return words if stock_s is None else f"{words}, without witnesses {_span(*stock_s)}"
    return f"predicted: {predicted_words(prediction)}"


def _span(low_s: float, high_s: float) -> str:
    digits = 1 if 0 < low_s < 1 else 0
    return f"{low_s:.{digits}f} to {high_s:.{digits}f} s"


def facts(verdict: VerdictFile) -> list[str]:
    """The figures, one line each."""
    lost_bytes = verdict.rpo.lost_wal_bytes
    over_s = verdict.rpo.lost_over_s
    over = "" if over_s is None else f", acknowledged over {over_s:.1f} s"
    wal = f"{over} ({counted(lost_bytes, 'byte', 'bytes')} of WAL)" if lost_bytes else over
    rows = [
        ("acknowledged", f"{verdict.acknowledged:,}"),
        ("lost", number(verdict.lost) + wal),
        ("duplicated", number(verdict.duplicated)),
        *([] if not verdict.shared_units else [("shared", shared_words(verdict))]),
        ("split brain", yes_or_no(verdict.split_brain)),
    ]
    predicted = verdict.rto_predicted_s
    if verdict.rto_s is not None:
        words = f"{verdict.rto_s:.1f} s"
        if verdict.rto_blur_s:
            words += f", give or take {verdict.rto_blur_s:.1f} s: a load process stood still"
        if predicted is not None:
            words += f" ({_predicted(predicted.of_rto)})"
        rows.append(("RTO", words))
    elif False in (again := {site.served_again for site in _that_count(verdict)}):
        rows.append(("RTO", "not ended"))
    elif None in again:
        rows.append(("RTO", "unknown"))
    apart = [site.site for site in verdict.sites if not site.could_be_served]
    if verdict.unservable_outage_s is not None:
        where = f"in {joined(apart)}, which could not be served meanwhile"
        apart_s = f"{verdict.unservable_outage_s:.1f} s {where}"
        if predicted is not None and predicted.elsewhere is not None:
            apart_s += f" ({_predicted(predicted)})"
        rows.append(("RTO apart", apart_s))
    rows += [
        ("", f"{verdict.rto_phases_s[phase]:6.2f} s {PHASE_WORDS[phase]}")
        for phase in RTO_PHASES
        if phase in verdict.rto_phases_s
    ]
    if verdict.through is not None:
        rows.append(("RTO direct", through_words(verdict.through)))
    rows += [("by hand", ", ".join(hand_notes(one))) for one in verdict.by_hand]
    if verdict.reads is not None:
        rows.append(("reads", reads_words(verdict.reads)))
    if verdict.access is not None:
        names = ("access", *("",) * len(access_lines(verdict.access)))
        rows += zip(names, access_lines(verdict.access), strict=False)
    rows += [(site.site, site_words(verdict, site)) for site in verdict.sites]
    width = max(len(name) for name, _ in rows)
    return [f"  {name:{width}}  {words}" for name, words in rows]


def _that_count(verdict: VerdictFile) -> list[SiteTiming]:
    """The sites whose outage is the RTO: those that could be served, or all where none could."""
    return [site for site in verdict.sites if site.could_be_served] or list(verdict.sites)


def shared_words(verdict: VerdictFile) -> str:
    """Units of work that two sites sent under one id."""
    words = SHARED_WORDS[verdict.answer_of("shared-units")]
    return f"{number(verdict.shared_units)} units sent by two sites, {words}"


def reads_words(reads: ReadTotals) -> str:
    """How long reads waited; those that broke their promise in capitals."""
    longest = ", ".join(waits(reads))
    parts = [f"{longest} longest wait" if longest else "none on record", behind_words(reads)]
    stale = "" if reads.stale == 0 else f"{number(reads.stale)} STALE"
    return ", ".join(part for part in (stale, *parts) if part)


def yes_or_no(value: bool | None) -> str:
    """``no`` or ``unknown``; a split brain in capitals."""
    return "unknown" if value is None else "YES" if value else "no"


def site_words(verdict: VerdictFile, site: SiteTiming) -> str:
    """How one site was served."""
    share = verdict.availability.get(site.site)
    parts = ["service unknown" if share is None else f"served {percent(share)} of the drill"]
    if site.outage_s is not None:
        parts.append(f"outage {site.outage_s:.1f} s")
    elif site.served_again is False:
        parts.append("without service at the end")
    if site.not_due:
        parts.append(f"could not be served meanwhile: {site.not_due[0].why}")
    if site.p50_ms is not None and site.p99_ms is not None:
        parts.append(f"p50 {site.p50_ms:.1f} ms, p99 {site.p99_ms:.1f} ms before the fault")
    return ", ".join(parts)


def number(value: int | None) -> str:
    """A count, or ``unknown``."""
    return "unknown" if value is None else f"{value:,}"


def shown(path: Path) -> str:
    """A path, relative to the current folder where that is shorter."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
