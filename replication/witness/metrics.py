"""The metrics of ``bascule witness``: what they are, and what keeps them."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from replication.observability.metric_names import Metric, counter, gauge
from replication.witness.model import CASES, REFUSALS

WITNESS = ("cluster", "site")

SUSPICIONS = counter(
    "bascule_witness_suspicions_total",
    (*WITNESS, "case"),
    "suspicions",
    "Leases that this witness came to suspect: host-silent, host-hangs, postmaster-gone.",
    "One a lease, however often the vote about it is renewed.",
)
VOTES = counter(
    "bascule_witness_votes_total",
    WITNESS,
    "votes",
    "Votes written into etcd, renewed ones included.",
)
ACTS = counter(
    "bascule_witness_acts_total",
    (*WITNESS, "outcome"),
    "acts",
    "Leases that this witness set out to end: done, late (the keys had changed, nothing was done),"
    " unknown (etcd did not answer), dry-run.",
    "One act replaces one primary: the other witnesses' transactions then end late.",
)
REFUSED = counter(
    "bascule_witness_refusals_total",
    (*WITNESS, "reason"),
    "suspicions",
    "Times that a primary was, or would have been, suspected and a rule forbade to act.",
    "Counted when the reason changes, not at every look.",
)
DETECTION = Metric(
    name="bascule_witness_detection_seconds",
    kind="histogram",
    labels=WITNESS,
    unit="seconds",
    help="From the last answer of the primary to the end of its lease.",
    trap="The primary may have died after its last answer, up to a question's interval later.",
)
MEMBER_SILENT = gauge(
    "bascule_witness_member_silent_seconds",
    (*WITNESS, "member"),
    "seconds",
    "How long neither Patroni nor PostgreSQL of the member has answered this witness.",
)
DCS_AGE = gauge(
    "bascule_witness_dcs_age_seconds",
    WITNESS,
    "seconds",
    "Age of the keys that this witness judges by: when the last read of etcd was sent.",
    "A witness that has lost etcd decides nothing, and is itself alive.",
)
PEERS = gauge(
    "bascule_witness_peers",
    WITNESS,
    "witnesses",
    "Witnesses whose key is in etcd, this one included.",
    "Fewer than a majority of the sites cannot end a lease: alert on it.",
)
SITES = gauge(
    "bascule_witness_sites",
    WITNESS,
    "sites",
    "Sites that should have a witness, by this one's configuration.",
)
STALLS = counter(
    "bascule_witness_stalls_total",
    WITNESS,
    "stalls",
    "Times that this witness itself stood still, and began its watch again.",
)

WITNESS_METRICS: tuple[Metric, ...] = (
    SUSPICIONS,
    VOTES,
    ACTS,
    REFUSED,
    DETECTION,
    MEMBER_SILENT,
    DCS_AGE,
    PEERS,
    SITES,
    STALLS,
)
"""All metrics of ``bascule witness``."""

DETECTION_BUCKETS_S = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.8, 1.0, 2.0, 5.0, 10.0)


OUTCOMES = ("done", "late", "unknown", "dry-run")


class WitnessMetrics:
    """Keeps the metrics of one witness. Every counter is there from the beginning, at 0: Prometheus
    sees no increase in a series that begins at 1.

    Args:
        registry: where they are exported from.
        cluster, site: their labels.
        sites: how many sites should have a witness.
    """

    def __init__(self, registry: CollectorRegistry, *, cluster: str, site: str, sites: int) -> None:
        self._labels = {"cluster": cluster, "site": site}
        self._suspicions = self._counter(registry, SUSPICIONS)
        self._votes = self._counter(registry, VOTES)
        self._acts = self._counter(registry, ACTS)
        self._refusals = self._counter(registry, REFUSED)
        self._stalls = self._counter(registry, STALLS)
        self._silent = self._gauge(registry, MEMBER_SILENT)
        self._dcs_age = self._gauge(registry, DCS_AGE)
        self._peers = self._gauge(registry, PEERS)
        self._detection = Histogram(
            DETECTION.name,
            DETECTION.help,
            DETECTION.labels,
            registry=registry,
            buckets=DETECTION_BUCKETS_S,
        )

        for metric in (self._votes, self._stalls, self._detection):
            metric.labels(**self._labels)
        for case in CASES:
            self._suspicions.labels(**self._labels, case=case)
        for outcome in OUTCOMES:
            self._acts.labels(**self._labels, outcome=outcome)
        for reason in REFUSALS:
            self._refusals.labels(**self._labels, reason=reason)
        self._gauge(registry, SITES).labels(**self._labels).set(sites)

    def suspected(self, case: str) -> None:
        """A lease came to be suspected."""
        self._suspicions.labels(**self._labels, case=case).inc()

    def voted(self) -> None:
        """A vote was written."""
        self._votes.labels(**self._labels).inc()

    def acted(self, outcome: str, detection_s: float | None) -> None:
        """A lease was, or was not, ended."""
        self._acts.labels(**self._labels, outcome=outcome).inc()
        if detection_s is not None:
            self._detection.labels(**self._labels).observe(detection_s)

    def refused(self, reason: str) -> None:
        """A rule forbade to act."""
        self._refusals.labels(**self._labels, reason=reason).inc()

    def stalled(self) -> None:
        """This witness stood still."""
        self._stalls.labels(**self._labels).inc()

    def looked(self, silent_s: dict[str, float], dcs_age_s: float, peers: int) -> None:
        """What the last look has found."""
        self._silent.clear()
        for member, one_s in silent_s.items():
            self._silent.labels(**self._labels, member=member).set(one_s)
        self._dcs_age.labels(**self._labels).set(dcs_age_s)
        self._peers.labels(**self._labels).set(peers)

    @staticmethod
    def _counter(registry: CollectorRegistry, metric: Metric) -> Counter:
        return Counter(metric.name, metric.help, metric.labels, registry=registry)

    @staticmethod
    def _gauge(registry: CollectorRegistry, metric: Metric) -> Gauge:
        return Gauge(metric.name, metric.help, metric.labels, registry=registry)
