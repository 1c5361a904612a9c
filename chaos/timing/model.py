"""What is measured about service: values only. How they are computed: the other modules here.

Every ``*_s`` that is a moment is seconds of CLOCK_MONOTONIC (docs/reference/run-folder.md); every
``*_s`` that is a duration says so in its name (``outage_s``, ``gap_s``, ``rto_s``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from chaos.evidence.reads import ReadKind

RtoPhase = Literal[
    "fault_to_leader_key_gone",
    "to_decision_by_hand",
    "to_new_leader_key",
    "to_promoted",
    "to_first_acknowledged",
]
"""The parts of an outage, in the order in which they follow each other."""

RTO_PHASES: tuple[RtoPhase, ...] = (
    "fault_to_leader_key_gone",
    "to_decision_by_hand",
    "to_new_leader_key",
    "to_promoted",
    "to_first_acknowledged",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceGap:
    """A stretch in which a site had no acknowledged write.

    ``open`` means that nothing was acknowledged any more until the load ended at ``to_s``.
    """

    from_s: float
    to_s: float
    open: bool = False

    @property
    def gap_s(self) -> float:
        """Its length."""
        return self.to_s - self.from_s


@dataclass(frozen=True, slots=True, kw_only=True)
class NotDue:
    """A stretch in which a site could not be served, by what was broken and what the topology
    promises (``chaos/timing/due.py``)."""

    from_s: float
    to_s: float
    """Infinite where nothing on record ended it."""
    why: str
    healed_after: bool
    """Nothing was broken any more when it ended; else something was that the topology tolerates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteTiming:
    """What one site got of the service."""

    site: str
    operations: int
    ok: int
    fail: int
    info: int
    resolved: int
    """How many of ``ok`` were in doubt and then resolved by their id row."""
    last_acknowledged_before_s: float | None
    """Where the outage begins: the last acknowledged write before it. None: no fault struck."""
    first_acknowledged_after_s: float | None
    """Where the outage ends. None: no fault struck, or the site was never served again."""
    outage_s: float | None
    """Between those two. None where one of them is."""
    served_again: bool | None
    """False when the site was without service when the load ended; None where the record ends
    before that can be told."""
    longest_gap: ServiceGap | None
    """The longest stretch of the whole load without acknowledged write; None: no load at all."""
    availability: float | None
    """Share of the load's time in which the site was served, 0 to 1 (``availability``). None where
    the site's history does not reach the end of the load, or cannot tell how it went on."""
    steady_rate_per_s: float | None
    """Acknowledged writes a second in the steady phase, ``already`` included; None: that phase is
    not in the record."""
    p50_ms: float | None
    """Median latency of acknowledged writes that were invoked in the steady phase."""
    p99_ms: float | None
    already: int = 0
    """How many were told that another caller had applied their unit of work."""
    stalls: int = 0
    """How often the load process itself stood still for longer than ``STALL_S_MAX``."""
    longest_stall_s: float = 0.0
    outage_blur_s: float = 0.0
    """By so much ``outage_s`` may be wrong, either way: stalls of the load process touch it."""
    not_due: tuple[NotDue, ...] = ()
    """When it could not be served, in order. Its outage then is no finding, unless it lasts longer
    than the scenario allows after the heal."""
    longest_due: ServiceGap | None = None
    """The longest part of its gaps in which it was to be served: before, between and after the
    stretches of ``not_due``. Without any, ``longest_gap``."""
    longest_after_heal: ServiceGap | None = None
    """The longest part of its gaps that follows a stretch of ``not_due`` which a heal ended."""
    due_at_end: bool = True
    """It was to be served when its load ended."""

    @property
    def could_be_served(self) -> bool:
        """All the time, by what was broken."""
        return not self.not_due


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadTiming:
    """What one site got of one kind of reads."""

    site: str
    kind: ReadKind
    reads: int
    ok: int
    p50_ms: float | None
    """Median latency of answered reads that were begun in the steady phase."""
    longest_gap: ServiceGap | None
    """The longest time from the begin of a read to the next answer of that kind, a read that failed
    on the way included; None: nothing was read."""
    not_due: tuple[NotDue, ...] = ()
    """When it could not be served, in order; none for a kind of which nothing is demanded."""
    longest_due: ServiceGap | None = None
    """The longest part of such a time in which it was to be served."""
    longest_after_heal: ServiceGap | None = None
    """The longest part that follows a stretch of ``not_due`` which a heal ended."""
    in_vain: ServiceGap | None = None
    """The part of a wait that went on when the reads ended, as far as it was due then."""


PredictedService = Literal["returns", "none-until-healed", "goes-on"]
"""What becomes of the service after a fault: it comes back while the fault lasts, or only once
something has been healed, or it goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """How long the outage should be, going by topology and settings, with the reason in words."""

    low_s: float
    high_s: float
    words: str
    source: str
    service: PredictedService = "returns"
    sites: tuple[str, ...] = ()
    """Where only these sites are without service: their names; none: all sites are."""
    begins_within_s: float = 0.0
    """How long after the fault the outage begins at the latest: a primary that has lost the DCS
    serves until it gives up."""
    elsewhere: Prediction | None = None
    """Where only ``sites`` are without service until the heal: what the others may expect."""
    stock_s: tuple[float, float] | None = None
    """Where witnesses shorten the outage: the shortest and the longest one without them."""

    @property
    def of_rto(self) -> Prediction:
        """What the RTO is held against: it is that of the sites that can be served, if any can."""
        return self.elsewhere or self


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Everything that is measured about the service in one run."""

    load_begin_s: float | None
    """Begin of the steady phase, or of the load where that phase is not in the record."""
    load_end_s: float | None
    fault_s: float | None
    """The fault that began the outage; None when none struck."""
    sites: tuple[SiteTiming, ...]
    """In the order of the topology; only sites with a load process."""
    rto_s: float | None
    """The longest ``outage_s`` of the sites that could be served all the time; of all sites, where
    none could. None: no fault, a site that was never served again, or one of which that cannot be
    told."""
    rto_site: str | None
    """The site that waited for ``rto_s``."""
    rto_phases_s: Mapping[RtoPhase, float] = field(default_factory=dict)
    """The parts of the outage that happened, in order. They add up to the time from the fault to
    the first acknowledged write of ``rto_site``."""
    prediction: Prediction | None = None
    direct: tuple[SiteTiming, ...] = ()
    """How writes straight to the members were served, beside a load that goes through a proxy; in
    the order of the topology."""
    direct_rto_s: float | None = None
    """As ``rto_s``, of these."""
    unservable_outage_s: float | None = None
    """The longest ``outage_s`` of the sites that could not be served for a while, where others
    could. None: there is no such site, or its outage has not ended, or cannot be told."""
    reads: tuple[ReadTiming, ...] = ()
    """By site in the order of the topology, then by kind; none where nothing was read."""
    lost_wal_bytes: int | None = 0
    """WAL that was acknowledged and lies beyond the end of its timeline; a lower bound. None where
    the record cannot tell."""
