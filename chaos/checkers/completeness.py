"""Whether the evidence is whole: what is missing may be what would have been found."""

from __future__ import annotations

from collections.abc import Iterator

from chaos.checkers.authority import count
from chaos.evidence.records import Scalar
from chaos.evidence.run import Run
from chaos.timing.load import phase_window
from chaos.verdict import Finding, FindingKind, Verdict


def check(run: Run) -> list[Finding]:
    """One UNKNOWN finding that lists every gap of the record, and one for an interruption."""
    findings = []
    missing = list(_missing(run))
    if missing:
        findings.append(
            Finding(
                kind=FindingKind.INCOMPLETE_EVIDENCE,
                verdict=Verdict.UNKNOWN,
                summary=f"The evidence is not whole: {count(len(missing), 'gap')}. First: "
                f"{missing[0]['what']}.",
                evidence=tuple(missing),
            )
        )
    for event in run.events_of("interrupted"):
        findings.append(
            Finding(
                kind=FindingKind.INCOMPLETE_EVIDENCE,
                verdict=Verdict.UNKNOWN,
                summary=f"The drill was interrupted: {event.fields.get('reason')}",
                evidence=({"t_s": event.t_s, **event.fields},),
            )
        )
    return findings


def _missing(run: Run) -> Iterator[dict[str, Scalar]]:
    """Every gap of the record, with the part of the run folder in which it is."""
    for damage in run.damage:
        yield {"what": damage, "part": "run folder"}
    yield from _missing_events(run)
    yield from _missing_histories(run)
    known = {read.node for read in run.final_reads}
    for node in run.info.nodes:
        if node not in known:
            yield {"what": f"no final read of {node}", "part": f"final-{node}.jsonl"}


def _missing_events(run: Run) -> Iterator[dict[str, Scalar]]:
    """Phases and faults that the record should have."""
    part = "events.jsonl"
    if phase_window(run, "steady") is None:
        yield {"what": "no steady phase", "part": part}
    if phase_window(run, "done") is None:
        yield {"what": "the drill did not come to its end (no phase done)", "part": part}
    struck = {event.fields.get("fault") for event in run.events_of("fault")}
    for fault in dict.fromkeys(step.fault for step in run.info.scenario.faults):
        if fault not in struck:
            yield {"what": f"the fault {fault} of the scenario never struck", "part": part}


def _missing_histories(run: Run) -> Iterator[dict[str, Scalar]]:
    """Sites without load, and histories that were cut short."""
    by_site = {history.site: history for history in run.histories}
    for site in run.info.client_sites:
        if site.name not in by_site:
            yield {"what": f"no history of {site.name}", "part": f"history-{site.name}.jsonl"}
    for history in run.histories:
        part = f"history-{history.site}.jsonl"
        if not history.complete:
            yield {"what": f"the history of {history.site} was cut short", "part": part}
        if not history.operations:
            yield {"what": f"the load process of {history.site} did nothing", "part": part}
