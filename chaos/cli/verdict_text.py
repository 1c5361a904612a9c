"""A verdict in words, for a terminal."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

from chaos.drill.judge import Judged
from chaos.evidence.verdict_file import VerdictFile
from chaos.report.words import percent
from chaos.timing import RTO_PHASES, SiteTiming
from chaos.verdict import Verdict

STYLES = {
    Verdict.VALID: "bold white on dark_green",
    Verdict.UNKNOWN: "bold black on yellow",
    Verdict.INVALID: "bold white on dark_red",
}
PHASE_WORDS = {
    "fault_to_leader_key_gone": "until the leader key was gone",
    "to_new_leader_key": "until a new leader key",
    "to_promoted": "until promoted",
    "to_first_acknowledged": "until the first acknowledged write",
}
FINDINGS_SHOWN = 6


def print_verdict(folder: Path, judged: Judged) -> None:
    """Say on standard output what was found."""
    verdict = judged.verdict
    out = Console(file=sys.stdout, highlight=False, soft_wrap=True)
    out.print()
    word = verdict.verdict.name
    sentence = judged.sentence.removeprefix(f"{word}: ")
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
    out.print(f"  report   {shown(folder / 'report.html')}")
    out.print(f"  replay   {verdict.command}")


def facts(verdict: VerdictFile) -> list[str]:
    """The figures, one line each."""
    lost_bytes = verdict.rpo.lost_wal_bytes
    wal = f" ({lost_bytes:,} bytes of WAL)" if lost_bytes else ""
    rows = [
        ("acknowledged", f"{verdict.acknowledged:,}"),
        ("lost", number(verdict.lost) + wal),
        ("duplicated", number(verdict.duplicated)),
        ("split brain", yes_or_no(verdict.split_brain)),
    ]
    if verdict.rto_s is not None:
        predicted = verdict.rto_predicted_s
        words = f"{verdict.rto_s:.1f} s"
        if predicted is not None:
            words += f" (predicted {predicted.low_s:.0f} to {predicted.high_s:.0f} s)"
        rows.append(("RTO", words))
    elif False in (again := {site.served_again for site in verdict.sites}):
        rows.append(("RTO", "not ended"))
    elif None in again:
        rows.append(("RTO", "unknown"))
    rows += [
        ("", f"{verdict.rto_phases_s[phase]:6.2f} s {PHASE_WORDS[phase]}")
        for phase in RTO_PHASES
        if phase in verdict.rto_phases_s
    ]
    rows += [(site.site, site_words(verdict, site)) for site in verdict.sites]
    width = max(len(name) for name, _ in rows)
    return [f"  {name:{width}}  {words}" for name, words in rows]


def yes_or_no(value: bool | None) -> str:
    """A split brain is shouted."""
    return "unknown" if value is None else "YES" if value else "no"


def site_words(verdict: VerdictFile, site: SiteTiming) -> str:
    """What one site got."""
    share = verdict.availability.get(site.site)
    parts = ["service unknown" if share is None else f"served {percent(share)} of the drill"]
    if site.outage_s is not None:
        parts.append(f"outage {site.outage_s:.1f} s")
    elif site.served_again is False:
        parts.append("without service at the end")
    if site.p50_ms is not None and site.p99_ms is not None:
        parts.append(f"p50 {site.p50_ms:.1f} ms, p99 {site.p99_ms:.1f} ms before the fault")
    return ", ".join(parts)


def number(value: int | None) -> str:
    """A count, or that nobody knows it."""
    return "unknown" if value is None else f"{value:,}"


def shown(path: Path) -> str:
    """A path as short as it can be said from here."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
