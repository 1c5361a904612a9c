"""Whether a dead primary's lease should end before its ttl. Pure: no I/O, no clock.

The contract, from which the safety of the whole follows (``docs/operate/witness-safety.md``):

- only in strict quorum mode, by the keys as they were read a moment ago, and the transaction
  compares their revisions: so the sync key that the winner is measured by is the one judged here;
- only when the sync key names this leader. Just after a failover it does not, and a race by it
  might count the former leader's word too high (Patroni's ``ha.py``, ``_is_healthiest_node``: the
  leader in the sync key needs no votes);
- only when somebody can win and then acknowledge. Of the standbys in the sync key ``alive`` answer;
  the winner needs the votes of ``quorum`` others, and afterwards the acknowledgements of
  ``len(standbys) - quorum`` others (``process_sync_replication_prepromote``)::

      alive >= 1 + max(quorum, len(standbys) - quorum)

- only when witnesses in a majority of the sites vote for it, each counted once, on this very lease
  (its key's revision). A vote is about one lease and expires.
"""

from __future__ import annotations

from collections.abc import Iterable

from replication.witness.model import (
    DcsConfig,
    DcsLeader,
    DcsMember,
    DcsSync,
    DcsView,
    Decision,
    EndLease,
    Memory,
    Nothing,
    Observed,
    Suspect,
    Vote,
    WitnessSettings,
)
from replication.witness.suspicion import HOST_SILENT, Suspicion, is_alive, suspicion

SITES_MIN = 2
"""Fewer sites cannot agree: one witness alone must not be able to end a lease."""


def decide(observed: Observed, settings: WitnessSettings, memory: Memory) -> Decision:
    """What this witness should do now.

    Called again after every round of observations. ``Suspect``: the caller casts or renews its vote
    about this leader key's revision. ``EndLease``: enough sites agree (the own vote, which must be
    out, included); the caller runs the transaction once, and remembers a ``PastAct``, whatever came
    of it. ``Nothing``: the caller takes its vote back.
    """
    dcs = observed.dcs
    if dcs is None or observed.now_s - dcs.read_s > settings.dcs_age_s_max:
        return Nothing(reason="etcd has not been read of late", refusal="etcd-unread")
    leader = dcs.leader
    name = None if leader is None else leader.member
    heard = next((one for one in observed.members if one.name == name), None)
    if leader is None or heard is None:
        return Nothing(reason=f"{name} leads and is not known here" if name else "nobody leads")

    others = [one for one in observed.members if one is not heard]
    alive = frozenset(one.name for one in others if is_alive(one, settings, observed.now_s))
    found = suspicion(heard, settings, observed.now_s, is_whole=len(alive) == len(others))
    if found is None:
        return Nothing(reason=f"{name} leads, and is well or is given time")
    forbidden = (
        _forbidden(dcs, leader, alive)
        or _too_soon(observed.now_s, settings, memory)
        or _too_few_sites(settings)
    )
    if forbidden is not None:
        return Nothing(reason=f"{found.reason}; but {forbidden.reason}", refusal=forbidden.refusal)
    return _with_the_others(dcs, leader, found, observed, settings)


def _with_the_others(
    dcs: DcsView,
    leader: DcsLeader,
    found: Suspicion,
    observed: Observed,
    settings: WitnessSettings,
) -> Suspect | EndLease:
    """Act if the own vote is out and a majority of the sites agrees; else vote."""
    voted_by = _voters(observed.votes, leader, settings, observed.now_s)
    reason = f"{found.reason}; sites that say so: {len(voted_by)} of {len(settings.sites)}"
    is_agreed = settings.name in voted_by and len(voted_by) > len(settings.sites) // 2
    if not is_agreed or dcs.sync is None or dcs.config is None:
        return Suspect(
            leader=leader.member, leader_revision=leader.revision, reason=reason, case=found.case
        )
    member = next((one for one in dcs.members if one.name == leader.member), None)
    # Only a silent host is worth it: any other answers at once that it is no primary, or may yet
    # say that it is one, and then no candidate may run (Patroni's ``_is_healthiest_node``).
    skipped = member if found.case == HOST_SILENT else None
    return EndLease(
        leader=leader.member,
        leader_revision=leader.revision,
        sync_revision=dcs.sync.revision,
        config_revision=dcs.config.revision,
        member_revision=None if skipped is None else skipped.revision,
        voted_by=voted_by,
        reason=reason,
        case=found.case,
    )


def _forbidden(dcs: DcsView, leader: DcsLeader, alive: frozenset[str]) -> Nothing | None:
    """Which rule of the cluster forbids to end this lease; ``None``: none does."""
    if dcs.config is None:
        return Nothing(reason="the cluster has no configuration in etcd", refusal="no-config")
    return (
        wrong_mode(dcs.config)
        or _by_hand(dcs)
        or _wrong_sync(dcs.sync, leader)
        or _alone(dcs.sync, dcs.members, alive)
    )


def wrong_mode(config: DcsConfig) -> Nothing | None:
    """Which of the cluster's settings forbids every act; ``None``: none does."""
    if config.is_paused:
        return Nothing(reason="the cluster is paused", refusal="paused")
    if config.is_standby_cluster:
        return Nothing(reason="this is a standby cluster", refusal="standby-cluster")
    if config.synchronous_mode != "quorum" or not config.is_strict:
        mode = f"synchronous_mode is {config.synchronous_mode}"
        strict = "strict" if config.is_strict else "not strict"
        return Nothing(reason=f"{mode}, {strict}, not quorum and strict", refusal="not-strict")
    return None


def _by_hand(dcs: DcsView) -> Nothing | None:
    if dcs.failover_revision is None:
        return None
    return Nothing(reason="a switchover or failover by hand goes on", refusal="failover-by-hand")


def _wrong_sync(sync: DcsSync | None, leader: DcsLeader) -> Nothing | None:
    """Names are compared as Patroni does, without regard to case (``SyncState.leader_matches``)."""
    named = None if sync is None else sync.leader
    if named is None or named.lower() != leader.member.lower():
        return Nothing(reason=f"the sync key names {named}", refusal="sync-key")
    return None


def _alone(
    sync: DcsSync | None, members: Iterable[DcsMember], alive: frozenset[str]
) -> Nothing | None:
    """Somebody must be able to win, and another to acknowledge afterwards."""
    names = {name.lower() for name in sync.standbys} if sync else set()
    quorum = sync.quorum if sync else 0
    here = {name for name in alive if name.lower() in names}
    barred = {member.name for member in members if member.is_nofailover}
    need = 1 + max(quorum, len(names) - quorum)
    if len(here) >= need and here - barred:
        return None
    return Nothing(
        reason=f"synchronous standbys that answer: {len(here)} of {len(names)}; needed: {need}",
        refusal="stands-alone",
    )


def _too_soon(now_s: float, settings: WitnessSettings, memory: Memory) -> Nothing | None:
    """After an act nobody acts for a while, longer with every act that is remembered."""
    ages_s = [now_s - act.at_s for act in memory.acts if now_s - act.at_s < settings.act_memory_s]
    if not ages_s:
        return None
    doublings = min(len(ages_s) - 1, 30)
    pause_s = min(settings.act_pause_s * 2**doublings, settings.act_pause_s_max)
    if min(ages_s) >= pause_s:
        return None
    reason = f"the last act was {min(ages_s):.1f} s ago, and {pause_s:.0f} s must pass"
    return Nothing(reason=reason, refusal="too-soon")


def _too_few_sites(settings: WitnessSettings) -> Nothing | None:
    if len(settings.sites) >= SITES_MIN and settings.site in settings.sites:
        return None
    reason = (
        f"a majority needs {SITES_MIN} sites with a witness, the own one among them;"
        f" there are: {len(settings.sites)}"
    )
    return Nothing(reason=reason, refusal="too-few-sites")


def _voters(
    votes: Iterable[Vote], leader: DcsLeader, settings: WitnessSettings, now_s: float
) -> tuple[str, ...]:
    """The witnesses whose votes count: one a site, each witness in one site only, in order."""
    by_site: dict[str, str] = {}
    counted: set[str] = set()
    for vote in sorted(votes, key=lambda one: (one.witness != settings.name, one.witness)):
        is_own_site = (vote.witness == settings.name) == (vote.site == settings.site)
        is_about = (vote.leader, vote.leader_revision) == (leader.member, leader.revision)
        is_valid = is_about and now_s < vote.expires_s and vote.site in settings.sites
        if is_valid and is_own_site and vote.site not in by_site and vote.witness not in counted:
            by_site[vote.site] = vote.witness
            counted.add(vote.witness)
    return tuple(sorted(counted))
