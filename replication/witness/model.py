"""What a witness has observed when it decides, what it is set to, and what it can decide.

Values only: no I/O, no clock. Every ``..._s`` that names a moment (``now_s``, ``answered_s``,
``refused_since_s``) is on this witness's own monotonic clock; no two witnesses compare clocks.

One witness stands in each site. It asks every member's Patroni and PostgreSQL some ten times a
second, reads the cluster's keys in etcd with their revisions, and writes its votes into etcd, where
the other sites' witnesses read them. ``decide`` turns all of that into one of three decisions.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class PatroniHeard:
    """What one member's Patroni said to this witness (``GET /primary`` or ``/liveness``).

    ``answered_s``: when its last answer came, whatever it said; ``None``: never, since this witness
    started. ``state``: the last answer's ``state`` (``running``, ``starting``, ...), to a question
    that was sent at ``state_asked_s``; that one is ``None`` before the first answer. ``role``: its
    ``role`` (``primary``, ``replica``, ...). ``is_streaming``: it said that its replica streams
    (``replication_state`` is ``streaming``). ``round_trip_s``: the worst of the recent
    answers' round trips (some ten seconds' worth), from which patience is derived.
    """

    answered_s: float | None = None
    state: str | None = None
    state_asked_s: float | None = None
    role: str | None = None
    is_streaming: bool = False
    round_trip_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresHeard:
    """What one member's PostgreSQL port said to this witness (a ``GSSENCRequest``, one byte back).

    ``answered_s``: when its last byte came; ``None``: never, since this witness started.
    ``refused_since_s``: since when every attempt was refused (its host lives, nobody listens);
    ``None``: the last attempt was not refused. ``mute_since_s``: since when every attempt was
    accepted and then not answered (a postmaster that hangs: the kernel accepts for it); ``None``:
    the last attempt was answered, refused or not accepted. ``accepted_s``: when the last attempt
    that was accepted was made; ``None``: none was. ``round_trip_s``: as of Patroni.
    """

    answered_s: float | None = None
    accepted_s: float | None = None
    refused_since_s: float | None = None
    mute_since_s: float | None = None
    round_trip_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberHeard:
    """One member as this witness hears it.

    ``asked_since_s``: since when this witness asks it without a break; a witness that slept (or was
    frozen) starts again, so that its own silence is not taken for the member's.
    """

    name: str
    site: str | None = None
    asked_since_s: float
    patroni: PatroniHeard
    postgres: PostgresHeard


@dataclass(frozen=True, slots=True, kw_only=True)
class DcsLeader:
    """The key ``leader``: who holds it, on which lease, and its revision (``mod_revision``)."""

    member: str
    lease_id: int
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DcsSync:
    """The key ``sync``: whose standbys they are (``None``: nobody's), and how many votes win.

    ``quorum``: how many of the other ``standbys`` and ``leader`` a candidate must have seen (the
    field of that name, Patroni's ``quorum.py``).
    """

    leader: str | None
    standbys: frozenset[str]
    quorum: int
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DcsConfig:
    """What the key ``config`` says, Patroni's defaults filled in.

    ``synchronous_mode``: ``off``, ``on`` or ``quorum``.
    """

    synchronous_mode: str
    is_strict: bool
    is_paused: bool
    is_standby_cluster: bool
    ttl_s: float
    loop_wait_s: float
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DcsMember:
    """A key ``members/NAME``: its revision, and whether it names an address to ask."""

    name: str
    revision: int
    lease_id: int = 0
    state: str | None = None
    has_api_url: bool = True
    is_nofailover: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DcsView:
    """The cluster's keys as one read saw them, all at one revision of etcd.

    ``read_s``: when that read was sent (not when it came back: it may be that old). A key that is
    absent is ``None``. ``failover_revision``: the key ``failover`` is there, a switchover or a
    failover by hand is going on.
    """

    read_s: float
    leader: DcsLeader | None = None
    sync: DcsSync | None = None
    config: DcsConfig | None = None
    failover_revision: int | None = None
    history_revision: int | None = None
    members: tuple[DcsMember, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """One witness's word that one lease of one leader should end.

    It counts for that leader key at that revision only, and until ``expires_s``: the moment when
    the reader first saw it, plus ``votes_expire_s`` (it is also on a lease of that length in etcd).
    """

    witness: str
    site: str
    leader: str
    leader_revision: int
    reason: str
    expires_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """Everything that a witness knows at ``now_s``. ``dcs``: ``None`` before the first read.

    ``votes``: all that were read, the own ones too.
    """

    now_s: float
    members: tuple[MemberHeard, ...]
    dcs: DcsView | None = None
    votes: tuple[Vote, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessSettings:
    """What a witness is set to.

    ``name``, ``site``: the own ones. ``sites``: every site that has a witness, the own one too; a
    vote from any other site does not count.

    ``patience_s``: how long the primary's host may be silent. ``refused_patience_s``: how long its
    port may be refused. Both as in the prototype, whose false alarms were none in `steady`.
    ``pg_hang_patience_s``: how long its host may accept connections while nothing on it answers:
    a frozen machine or a stalled disk, which often come back, so ten times the former.
    ``jitter_factor``: no patience is less than that many times the worst recent round trip (TCP
    waits for the mean and four times the deviation, RFC 6298; this is above it).
    ``unwhole_factor``: patience is that many times longer while another member is missing.

    ``dcs_age_s_max``: who has not read etcd for that long decides nothing. ``votes_expire_s``: how
    long a vote counts. ``act_pause_s``: for how long no second act follows one; it doubles with
    each further act of the last ``act_memory_s``, up to ``act_pause_s_max``.
    """

    name: str
    site: str
    sites: frozenset[str]
    patience_s: float = 0.3
    refused_patience_s: float = 0.15
    pg_hang_patience_s: float = 3.0
    jitter_factor: float = 4.0
    unwhole_factor: float = 10.0
    dcs_age_s_max: float = 0.5
    votes_expire_s: float = 2.0
    act_pause_s: float = 10.0
    act_pause_s_max: float = 600.0
    act_memory_s: float = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PastAct:
    """A lease that was ended, by this witness or another, or that this witness tried to end."""

    leader: str
    leader_revision: int
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What a witness remembers. ``acts``: all that it knows of, its own and others'."""

    acts: tuple[PastAct, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    """Do nothing, and take back a vote that is out. ``reason``: why, in words for people.

    ``refusal``: when the primary is suspect and a rule forbids to vote or act, that rule's fixed
    word (one of ``REFUSALS``), for metrics; ``None``: nobody is suspect.
    """

    reason: str
    refusal: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """Cast or renew a vote that this lease should end. ``reason``: why, in words for people.

    ``case``: a fixed word for metrics, one of ``CASES``.
    """

    leader: str
    leader_revision: int
    reason: str
    case: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EndLease:
    """End this lease, in one transaction that demands what is written here, and nothing else.

    It compares the modification revisions of ``leader``, ``sync`` and ``config``, and that no key
    ``failover`` exists. ``member_revision``: that of ``members/<leader>``, which is compared too
    and loses its address, so that no candidate waits for a host that is silent; ``None``: it is
    left as it is. ``voted_by``: the witnesses whose votes count. ``case`` as in ``Suspect``.
    """

    leader: str
    leader_revision: int
    sync_revision: int
    config_revision: int
    member_revision: int | None
    voted_by: tuple[str, ...]
    reason: str
    case: str


CASES = ("host-silent", "host-hangs", "postmaster-gone")
"""Why a primary is suspect: see ``suspicion.py``."""

REFUSALS = (
    "etcd-unread",
    "no-config",
    "paused",
    "standby-cluster",
    "not-strict",
    "failover-by-hand",
    "sync-key",
    "stands-alone",
    "too-soon",
    "too-few-sites",
)
"""Which rules can forbid an act: see ``decide.py``."""

Decision = Nothing | Suspect | EndLease
"""What ``decide`` returns."""
