"""Puts the timing of a run together: outages by site, RTO and its phases, WAL lost. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from chaos.evidence.events import (
    ClusterSettled,
    FaultStruck,
    LeaderSeen,
    Phase,
    PhaseBegan,
    TimelineEnded,
)
from chaos.evidence.given_up import given_up_ids
from chaos.evidence.history import DIRECT_PER_S
from chaos.evidence.records import Operation, SiteHistory
from chaos.evidence.run import Run
from chaos.timing.due import longest_due_parts, not_due
from chaos.timing.durations import PROXY_DELAY_S, Clock, behind_proxy
from chaos.timing.failover import fault_of, rto_phases_s
from chaos.timing.load import (
    STALL_S_MAX,
    SiteGaps,
    Window,
    blur_s,
    demand_end_s,
    load_window,
    percentile,
    phase_window,
    site_gaps,
    unserved_s_min,
)
from chaos.timing.model import NotDue, Prediction, ServiceGap, SiteTiming, Timing
from chaos.timing.predict import predict
from chaos.timing.reads import measure_reads
from chaos.timing.settings import has_witnesses, number_in_force, shape_of_run


def measure(run: Run) -> Timing:
    """Everything that is measured about the service in ``run``.

    Pure: the same evidence gives the same numbers. Cost: some passes over all operations.
    """
    window = load_window(run)
    if window is None:
        return Timing(
            load_begin_s=None,
            load_end_s=None,
            fault_s=None,
            sites=tuple(_unheard(site.name) for site in run.info.client_sites),
            rto_s=None,
            rto_site=None,
            prediction=_prediction(run),
            lost_wal_bytes=lost_wal_bytes(run),
        )
    order = {site.name: index for index, site in enumerate(run.info.sites)}
    histories = sorted(run.histories, key=lambda history: order.get(history.site, len(order)))
    threshold_s = unserved_s_min(number_in_force(run, "rate_per_s"))
    steady = phase_window(run, Phase.STEADY)
    # By hand, something may be broken while there is no load: that costs no service.
    faults = [
        event for event in run.events_of(FaultStruck) if window.begin_s <= event.t_s <= window.end_s
    ]
    stretches = not_due(run)
    sites: list[SiteTiming] = []
    outages: dict[str, ServiceGap | None] = {}
    for history in histories:
        found = site_gaps(history, window, demand_end_s(run, history, window))
        outage = outage_of(
            found, faults[0].t_s if faults else None, threshold_s, whole=history.complete
        )
        timed = _measure_site(history, found, outage, window, steady, threshold_s)
        sites.append(_with_what_was_due(timed, found, stretches.get(history.site, ())))
        outages[history.site] = outage
    counted = [site for site in sites if site.could_be_served] or sites
    rto_site = _slowest(counted, outages)
    fault = fault_of(outages[rto_site], faults) if rto_site else fault_of(None, faults)
    slowest = next((site for site in sites if site.site == rto_site), None)
    unheard = [site.name for site in run.info.client_sites if site.name not in outages]
    sites += [_unheard(site) for site in unheard]
    sites.sort(key=lambda site: order.get(site.site, len(order)))
    # The longest outage of several sites is not known while that of one is not.
    heard = [site for site in sites if site in counted or site.site in unheard]
    all_told = not any(site.served_again is None for site in heard)
    direct, direct_rto_s = _measure_direct(run, window, faults[0].t_s if faults else None)
    return Timing(
        load_begin_s=window.begin_s,
        load_end_s=window.end_s,
        fault_s=fault.t_s if fault else None,
        sites=tuple(sites),
        rto_s=slowest.outage_s if slowest and all_told else None,
        rto_site=rto_site,
        rto_phases_s=(
            rto_phases_s(run, fault.t_s, slowest.first_acknowledged_after_s if all_told else None)
            if fault and slowest
            else {}
        ),
        prediction=_prediction(run),
        direct=direct,
        direct_rto_s=direct_rto_s,
        unservable_outage_s=_unservable_outage_s([one for one in sites if one not in heard]),
        reads=measure_reads(run, window, steady),
        lost_wal_bytes=lost_wal_bytes(run),
    )


def _measure_direct(
    run: Run, window: Window, fault_s: float | None
) -> tuple[tuple[SiteTiming, ...], float | None]:
    """How writes straight to the members were served, by site; and the longest outage of them all.

    Args:
        run: The evidence.
        window: The time of the load.
        fault_s: When the first fault struck; None where none did.
    """
    threshold_s = unserved_s_min(DIRECT_PER_S)
    steady = phase_window(run, Phase.STEADY)
    order = [site.name for site in run.info.sites]
    stretches = not_due(run)
    timed = []
    for history in sorted(run.direct, key=lambda one: order.index(one.site)):
        found = site_gaps(history, window, demand_end_s(run, history, window))
        outage = outage_of(found, fault_s, threshold_s, whole=history.complete)
        site = _measure_site(history, found, outage, window, steady, threshold_s)
        timed.append(_with_what_was_due(site, found, stretches.get(history.site, ())))
    counted = [site for site in timed if site.could_be_served] or timed
    outages_s = [site.outage_s for site in counted]
    known_s = [outage_s for outage_s in outages_s if outage_s is not None]
    return tuple(timed), max(known_s, default=None) if len(known_s) == len(outages_s) else None


def outage_of(
    found: SiteGaps, first_fault_s: float | None, threshold_s: float, *, whole: bool = True
) -> ServiceGap | None:
    """The outage of a site: its longest gap that contains or follows the first fault.

    A gap that is still open when the load ends is always the outage, if it is long enough to count
    as time without service. Where the history was cut short, any gap that is open at its end may
    have become the outage: then only a gap that did end and was long enough to be noticed is one.

    Args:
        found: The gaps of the site.
        first_fault_s: When the first fault struck; None where none did.
        threshold_s: From which length on a gap is time without service.
        whole: The load process closed its history.

    Returns:
        None when no fault struck, or nothing was acknowledged or wanted after it.
    """
    if first_fault_s is None:
        return None
    open_gap = found.open_gap
    if open_gap and open_gap.to_s > first_fault_s and open_gap.gap_s > threshold_s:
        return open_gap
    closed = found.longest_closed(first_fault_s)
    if whole or (closed is not None and closed.gap_s > threshold_s):
        return closed
    return open_gap if open_gap and open_gap.to_s > first_fault_s else None


def availability(found: SiteGaps, window: Window, threshold_s: float) -> float | None:
    """Share of the load's time in which the site was served.

    One minus the sum of the gaps that are longer than ``threshold_s``, over the time from the begin
    of the steady phase to the end of the load. A gap that counts, counts whole.

    Returns:
        0 to 1; None when the load had no duration.
    """
    if window.length_s <= 0:
        return None
    return min(1.0, max(0.0, 1.0 - found.unserved_s(threshold_s) / window.length_s))


def lost_wal_bytes(run: Run) -> int | None:
    """How much WAL was acknowledged and lies beyond the end of its timeline.

    For every timeline that ended: the highest acknowledged LSN on it minus the LSN where it ended,
    if positive; summed. A lower bound, because an operation's LSN is read before its commit record
    is written. None when entries were acknowledged on a timeline that is neither the surviving one
    nor a known ancestor of it: then there is no end to measure from. None as well where the
    surviving timeline or every history is missing. What a restore of the cluster was allowed to
    take does not count.
    """
    final = surviving_timeline(run)
    if final is None or not run.histories:
        return None
    ends = {end.timeline: end.lsn for end in run.events_of(TimelineEnded)}
    excused = given_up_ids(run)
    highest: dict[int, int] = {}
    for history in run.histories:
        for operation in history.operations:
            timeline, lsn = operation.timeline, operation.lsn
            if timeline == final or operation.outcome != "ok" or timeline is None or lsn is None:
                continue
            if operation.id in excused:
                continue
            highest[timeline] = max(highest.get(timeline, 0), lsn)
    if not highest.keys() <= ends.keys():
        return None
    return sum(max(0, lsn - ends[timeline]) for timeline, lsn in highest.items())


def surviving_timeline(run: Run) -> int | None:
    """The timeline of the cluster at the end; None if the record does not show it.

    The later of what the last ``settled`` event says and what the primary's final read says:
    timelines only grow, and the cluster may have failed over once more in between.
    """
    known = [event.timeline for event in run.events_of(ClusterSettled)[-1:]]
    known += [read.timeline for read in run.final_reads if read.is_primary and not read.error]
    return max((timeline for timeline in known if timeline is not None), default=None)


def _measure_site(  # noqa: PLR0913, PLR0917 - every argument is a value that the caller has at hand
    history: SiteHistory,
    found: SiteGaps,
    outage: ServiceGap | None,
    window: Window,
    steady: Window | None,
    threshold_s: float,
) -> SiteTiming:
    outcomes = [operation.outcome for operation in history.operations]
    still_open_s = found.open_gap.gap_s if found.open_gap else 0.0
    latencies_ms = sorted(_steady_latencies_ms(history.operations, steady))
    stalls_s = [stall.stall_s for stall in history.stalls if stall.stall_s > STALL_S_MAX]
    served_again = _served_again(history, outage, still_open_s > threshold_s)
    # A load that ended long before the others' says nothing about the time after.
    heard_to_the_end = history.complete or found.demand_end_s >= window.end_s - threshold_s
    return SiteTiming(
        site=history.site,
        operations=len(outcomes),
        ok=outcomes.count("ok"),
        fail=outcomes.count("fail"),
        info=outcomes.count("info"),
        already=outcomes.count("already"),
        resolved=sum(1 for op in history.operations if op.resolved and op.outcome == "ok"),
        last_acknowledged_before_s=outage.from_s if outage else None,
        first_acknowledged_after_s=outage.to_s if outage and not outage.open else None,
        outage_s=outage.gap_s if outage and not outage.open else None,
        served_again=served_again,
        longest_gap=found.longest() if outcomes else None,
        availability=availability(found, window, threshold_s)
        if heard_to_the_end and served_again is not None
        else None,
        steady_rate_per_s=_steady_rate_per_s(history.operations, steady),
        p50_ms=percentile(latencies_ms, 0.50),
        p99_ms=percentile(latencies_ms, 0.99),
        stalls=len(stalls_s),
        longest_stall_s=max(stalls_s, default=0.0),
        outage_blur_s=blur_s(outage, history.stalls) if outage and not outage.open else 0.0,
    )


def _with_what_was_due(
    site: SiteTiming, found: SiteGaps, stretches: tuple[NotDue, ...]
) -> SiteTiming:
    """The site with the parts of its gaps in which it was to be served."""
    if not stretches:
        return replace(site, longest_due=site.longest_gap)
    due, after_heal = longest_due_parts(found.longer_than(0.0), stretches)
    return replace(
        site,
        not_due=stretches,
        longest_due=due,
        longest_after_heal=after_heal,
        due_at_end=not any(one.from_s <= found.demand_end_s < one.to_s for one in stretches),
    )


def _unservable_outage_s(sites: Sequence[SiteTiming]) -> float | None:
    """The longest outage of these; None where one of them has not ended, or is not known."""
    outages_s = [site.outage_s for site in sites if site.served_again]
    known_s = [outage_s for outage_s in outages_s if outage_s is not None]
    return max(known_s, default=None) if len(outages_s) == len(sites) else None


def _served_again(history: SiteHistory, outage: ServiceGap | None, is_waiting: bool) -> bool | None:
    """Whether the site had service at the end; None where its history was cut short before that.

    Args:
        history: What the load process wrote.
        outage: What ``outage_of`` found.
        is_waiting: The gap that is open at the end is long enough to be noticed.
    """
    if not history.operations and not history.complete:
        return None
    if is_waiting or not history.operations:
        return False
    if history.complete or (outage is not None and not outage.open):
        return True
    return None


def _unheard(site: str) -> SiteTiming:
    """A site that should have had load and of which there is no history."""
    return SiteTiming(
        site=site,
        operations=0,
        ok=0,
        fail=0,
        info=0,
        resolved=0,
        last_acknowledged_before_s=None,
        first_acknowledged_after_s=None,
        outage_s=None,
        served_again=None,
        longest_gap=None,
        availability=None,
        steady_rate_per_s=None,
        p50_ms=None,
        p99_ms=None,
    )


def _steady_latencies_ms(operations: Sequence[Operation], steady: Window | None) -> list[float]:
    """Latencies of the acknowledged writes that were invoked in the steady phase."""
    if steady is None:
        return []
    return [
        (operation.ended_s - operation.invoked_s) * 1000
        for operation in operations
        if operation.outcome == "ok"
        and operation.ended_s is not None
        and steady.begin_s <= operation.invoked_s < steady.end_s
    ]


def _steady_rate_per_s(operations: Sequence[Operation], steady: Window | None) -> float | None:
    """Writes that were acknowledged within the steady phase, a second of it.

    A caller that was told that another one had applied the unit counts as answered too.
    """
    if steady is None or steady.length_s <= 0:
        return None
    acknowledged = sum(
        1
        for operation in operations
        if operation.outcome in ("ok", "already")
        and operation.ended_s is not None
        and steady.begin_s <= operation.ended_s <= steady.end_s
    )
    return acknowledged / steady.length_s


def _slowest(sites: Sequence[SiteTiming], outages: dict[str, ServiceGap | None]) -> str | None:
    """The site that waited longest: one that was never served again before all others."""
    waiting = [(site, outages[site.site]) for site in sites]
    struck = [(site, gap) for site, gap in waiting if gap is not None]
    if not struck:
        return None
    return max(struck, key=lambda pair: (pair[1].open, pair[1].gap_s))[0].site


def _prediction(run: Run) -> Prediction | None:
    found = _of_the_cluster(run)
    delay_s = number_in_force(run, PROXY_DELAY_S)
    if found is None or found.service != "returns" or run.info.scenario.through is None:
        return found
    # Where sessions stay on a primary that is gone, it depends on how long clients wait.
    return None if delay_s is None else behind_proxy(found, delay_s)


def _of_the_cluster(run: Run) -> Prediction | None:
    """What is predicted of writes straight to the members."""
    ttl_s = number_in_force(run, "ttl_s")
    loop_wait_s = number_in_force(run, "loop_wait_s")
    if ttl_s is None or loop_wait_s is None:
        return None
    scenario = run.info.scenario
    until = partial(
        predict,
        shape_of_run(run),
        Clock(ttl_s=ttl_s, loop_wait_s=loop_wait_s, witness=has_witnesses(run)),
        scenario.faults,
        layout=run.info.layout,
        seed=run.info.seed,
        primary=_first_primary(run),
    )
    if not scenario.heal_when_service_is_back:
        return until(heal_s=scenario.fault_s)
    # Where nothing else brings it back, the drill heals when its patience is over.
    last_s = max((step.at_s for step in scenario.faults), default=0.0)
    found = until(heal_s=max(scenario.fault_s, last_s + scenario.expect.rto_s_max))
    healed_s = _healed_after_s(run)
    if found is None or not found.sites or healed_s is None:
        return found
    # Of some sites alone: it heals once the others are served, and only the record knows when.
    return until(heal_s=healed_s)


def _healed_after_s(run: Run) -> float | None:
    """From the begin of the fault phase to that of recovery, which heals what is left."""
    begins_s = {event.phase: event.t_s for event in run.events_of(PhaseBegan)}
    fault_s, recovery_s = begins_s.get(Phase.FAULT), begins_s.get(Phase.RECOVERY)
    return None if fault_s is None or recovery_s is None else recovery_s - fault_s


def _first_primary(run: Run) -> str | None:
    """The primary when the first fault struck; None if the record does not show it."""
    first_s = min((event.t_s for event in run.events_of(FaultStruck)), default=math.inf)
    held = [event.holder for event in run.events_of(LeaderSeen) if event.t_s < first_s]
    known = [holder for holder in held if holder in run.info.nodes]
    return known[-1] if known else None
