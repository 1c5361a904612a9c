"""How long each kind of outage lasts, as a sum of what can be waited for. Pure.

``predict`` works out what happens in a drill, and in what order; here are the times and their
sources.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from chaos.timing.model import Prediction

WAL_RETRY_S = 5.0
"""A standby whose WAL receiver failed tries again after so long (PostgreSQL manual, Replication,
Standby Servers, ``wal_retrieve_retry_interval``; its default is kept). Measured: after the crash of
a primary that was back within 1.8 to 2.3 s, the first write was acknowledged after 5.0 to 5.2 s (3
drills), when the standbys' logs show their next try."""

LEASE_S_MAX = 1.0
"""Until etcd has revoked a lease that is over: it looks every 0.5 s."""
DEAD_MEMBER_S_MAX = 2.0
"""For the REST API of the old leader, which candidates ask (``patroni/ha.py``: 2 s of patience)."""
PROMOTION_S_MAX = 1.0

ELECTION_S_MAX = LEASE_S_MAX + DEAD_MEMBER_S_MAX + PROMOTION_S_MAX + WAL_RETRY_S
"""From the end of the leader key's ttl to the first acknowledged write, as the sum of what can be
waited for, up to ``WAL_RETRY_S`` until a standby confirms commits again. Measured in the lab, whose
dead are silent: 2.2 to 2.4 s with quorum commit (4 drills), 2.3 s where links had been cut as well;
in a prototype in which another process deleted the key 4.0 to 8.6 s."""

ETCD_ELECTION_S_MAX = 3.0
"""Where a member of etcd is lost with the primary, it may have been etcd's leader: the next one is
elected after 1 to 3 s (election timeout 1 s), and gives every lease its whole ttl again (etcd,
``lease.Lessor.Promote``)."""

SILENCE_NOTICED_S, REFUSAL_NOTICED_S = 0.3, 0.15
"""How long a primary must be silent, or its port refused, before a witness votes
(``replication/witness/model.py``, ``patience_s``, ``refused_patience_s``)."""
HANG_NOTICED_S = 3.0
"""How long a host may accept connections and not answer (``pg_hang_patience_s``): frozen, say."""
WITNESSED_S_MAX = 1.0
"""From the death of a primary to the end of its lease where witnesses agree: patience, a question's
interval, a vote, a read and a transaction, each some ten round trips at most."""
FOLLOWED_S_MAX = 2.0
"""From a promotion to the first commit that a standby confirms, and the client's notice of it: a
standby whose watch of etcd hangs is woken after 0.25 s (``replication/witness/nudge.py``), and a
client looks every 2 s at the latest (``watch_interval_s``)."""

RESTART_S_MAX = 5.0
"""From Patroni's look at a crashed postmaster until it accepts connections again: its start and the
crash recovery of a small database. Measured: 0.5 s."""

POWER_ON_S_MAX = 5.0
"""From the power of a host to its Patroni's first look: the start of etcd and Patroni."""
REWIND_S_MAX = 5.0
"""``pg_rewind`` of a small database, and the checkpoint that it waits for."""

SWITCHOVER_S_MAX = 9.0
"""A planned change of the primary: shutdown checkpoint, promotion, and ``WAL_RETRY_S`` where the
standby does not follow at once. Measured: 1.5 to 1.7 s (4 drills); 4.3 s with Patroni's defaults in
a prototype."""

NOTICE_S = 0.5
"""What the client needs to notice that writes go again: its retries are up to so far apart."""

SILENCE_S_MAX = 60.0
"""A receiver without data for this long gives the connection up (``wal_receiver_timeout``)."""

TTL_SOURCE = "Patroni documentation, Dynamic Configuration Settings: ttl, loop_wait"
_RETRY_SOURCE = "PostgreSQL manual, Replication, wal_retrieve_retry_interval"
SWITCHOVER_SOURCE = "Patroni documentation, patronictl switchover; measured on this lab"
QUORUM_SOURCE = "Patroni documentation, Replication modes: synchronous_mode_strict, quorum commit"
WITNESS_SOURCE = "docs/operate/witness.md"
SILENCE_SOURCE = "RFC 6298, 5.5: a lost packet is sent again after twice the time"

SAID_BY_THE_FAULT = "what the fault says of itself"

ANOTHER_CONFIRMS = "The primary goes on: a replica in reach confirms what it commits."
LOSES_WHAT_WAITED = (
    " Commits are acknowledged before a replica has them: those that none had are lost."
)


PROXY_DELAY_S = "proxy_delay_s"
"""The setting that says how long after a promotion a proxy leads to the new primary at the latest
(``cluster.proxies``)."""


def behind_proxy(found: Prediction, delay_s: float) -> Prediction:
    """What is predicted of writes through a proxy.

    Args:
        found: what is predicted of writes straight to the members.
        delay_s: ``PROXY_DELAY_S``.
    """
    words = f"{found.words}; the proxy leads to the new primary up to {delay_s:g} s later"
    stock_s = found.stock_s and (found.stock_s[0], found.stock_s[1] + delay_s)
    return replace(found, high_s=found.high_s + delay_s, words=words, stock_s=stock_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """The settings that an outage is counted in, as in force."""

    ttl_s: float
    """Lifetime of the leader key."""
    loop_wait_s: float
    """Between two looks of Patroni."""
    witness: bool = False
    """Witnesses replace a dead primary before its ttl."""


def goes_on(words: str, source: str) -> Prediction:
    """The service is not interrupted."""
    return Prediction(low_s=0.0, high_s=NOTICE_S, words=words, source=source, service="goes-on")


def another_is_counted(clock: Clock, healed_s: float) -> Prediction:
    """Every replica that commits wait for is lost, and there is another that Patroni can count.

    It counts it at its first look after the lost ones' keys in the DCS are gone: they live ``ttl``,
    and are renewed every ``loop_wait`` (patroni/postgresql/sync.py: only members that run).

    Args:
        clock: The timing settings.
        healed_s: When the lost ones are back, after the loss.
    """
    return Prediction(
        low_s=min(healed_s, max(0.0, clock.ttl_s - clock.loop_wait_s)),
        high_s=clock.ttl_s + LEASE_S_MAX + clock.loop_wait_s + WAL_RETRY_S + NOTICE_S,
        words="Every replica that commits waited for is lost; they wait until Patroni counts "
        f"another, once the keys of the lost ones have expired (ttl {clock.ttl_s:g} s).",
        source=f"{TTL_SOURCE}; {QUORUM_SOURCE}",
    )


def another_is_named(clock: Clock) -> Prediction:
    """Replicas are lost of whom some may be named, and others are left that Patroni can name.

    Args:
        clock: The timing settings.
    """
    found = another_is_counted(clock, 0.0)
    return replace(
        found,
        low_s=0.0,
        words="Commits wait for standbys that Patroni has named. If one of them is lost, they wait "
        f"until its key has expired (ttl {clock.ttl_s:g} s) and Patroni names another.",
    )


def after_heal_s_max(clock: Clock, cut_s: float, *, powered: bool) -> float:
    """How long the way back takes at most, once the heal has brought back what was missing.

    After a power cut: the start of the host, Patroni's look, crash recovery, perhaps ``pg_rewind``,
    streaming; and an election, if there was no leader. After silence alone: connections that live
    still go on with the next packet that is sent again, after as long again as the silence lasted.
    """
    if powered:
        started_s = POWER_ON_S_MAX + RESTART_S_MAX + REWIND_S_MAX
        return started_s + 2 * clock.loop_wait_s + ELECTION_S_MAX
    return min(cut_s, SILENCE_S_MAX) + ELECTION_S_MAX + clock.loop_wait_s


def crash(loop_wait_s: float, *, waits_for_standby: bool) -> Prediction:
    """A primary that Patroni restarts in place.

    With quorum commit the standbys' receivers decide. They try again at once, while no server
    listens yet, and from then on every ``WAL_RETRY_S``: the first commit is confirmed at one of
    these beats.
    """
    restarted_s = loop_wait_s + RESTART_S_MAX
    words = (
        f"Patroni notices the dead process at its next look (loop_wait {loop_wait_s:g} s) and "
        "restarts it in place, or hands the lead over"
    )
    if not waits_for_standby:
        return Prediction(
            low_s=0.0, high_s=restarted_s + NOTICE_S, words=f"{words}.", source=TTL_SOURCE
        )
    return Prediction(
        low_s=WAL_RETRY_S,
        high_s=math.ceil(restarted_s / WAL_RETRY_S) * WAL_RETRY_S + NOTICE_S,
        words=f"{words}; a write is acknowledged once a standby follows again, and standbys try "
        f"every {WAL_RETRY_S:g} s (wal_retrieve_retry_interval).",
        source=f"{TTL_SOURCE}; {_RETRY_SOURCE}",
    )


def lost_leader(
    clock: Clock, *, nobody_until: tuple[str, float] | None, loses_etcd: bool
) -> Prediction:
    """The primary is gone without a word, so that its key must expire.

    Args:
        clock: The timing settings.
        nobody_until: Why no node can be elected at first, and how long after the loss one can.
        loses_etcd: A member of etcd is gone with it.

    The key is renewed every ``loop_wait`` and lives ``ttl`` from there: a fault just before a
    renewal finds ``ttl - loop_wait`` left of it, a fault just after one finds ``ttl``.
    """
    low_s = max(0.0, clock.ttl_s - clock.loop_wait_s)
    high_s = clock.ttl_s
    words = (
        f"The leader key expires {low_s:g} to {clock.ttl_s:g} s after the loss (ttl "
        f"{clock.ttl_s:g} s, renewed every {clock.loop_wait_s:g} s); election and promotion take "
        f"up to {ELECTION_S_MAX:g} s more."
    )
    if loses_etcd:
        high_s += ETCD_ELECTION_S_MAX
        words += (
            f" The host has an etcd member too: if that was etcd's leader, up to "
            f"{ETCD_ELECTION_S_MAX:g} s go by until the next one, which gives the key its ttl anew."
        )
    if nobody_until is not None:
        why, back_s = nobody_until
        low_s, high_s = max(low_s, back_s), max(high_s, back_s)
        words += f" Nobody can be elected in the first {back_s:g} s: {why}."
    return Prediction(low_s=low_s, high_s=high_s + ELECTION_S_MAX, words=words, source=TTL_SOURCE)


def witnessed(
    found: Prediction, clock: Clock, *, loses_etcd: bool, crashed: bool, may_hang: bool
) -> Prediction:
    """What becomes of ``found`` where witnesses end the lease of a dead primary.

    Args:
        found: What stock Patroni would need.
        clock: The timing settings.
        loses_etcd: A member of etcd is gone with the primary.
        may_hang: The kernel of its host may live, and accept connections.
        crashed: PostgreSQL alone is dead. Where Patroni's own look comes before the witnesses, it
            restarts the server in place; standbys try again every half a second then
            (``cluster/patroni/config.py``).
    """
    low_s = REFUSAL_NOTICED_S if crashed else SILENCE_NOTICED_S
    high_s = WITNESSED_S_MAX + PROMOTION_S_MAX + FOLLOWED_S_MAX
    words = (
        f"Witnesses end the lease of a dead primary within {WITNESSED_S_MAX:g} s, long before its "
        f"ttl of {clock.ttl_s:g} s; election and promotion follow at once."
    )
    if loses_etcd:
        high_s += ETCD_ELECTION_S_MAX
        words += f" If the host has etcd's leader, its election takes {ETCD_ELECTION_S_MAX:g} s."
    if may_hang:
        high_s += HANG_NOTICED_S
        words += f" A host that still accepts connections is given {HANG_NOTICED_S:g} s."
    if crashed:
        high_s = max(high_s, RESTART_S_MAX + NOTICE_S)
        words += f" Patroni may restart the server first: up to {RESTART_S_MAX:g} s."
    return replace(found, low_s=low_s, high_s=high_s, words=words, source=WITNESS_SOURCE)


def witnessed_later(found: Prediction, back_s: float) -> Prediction:
    """What becomes of ``found`` where witnesses may act only once others are back, and need not:
    they are patient while anything else is lost.

    Args:
        found: What stock Patroni would need.
        back_s: After the death of the primary, when the others are back.
    """
    low_s = back_s + SILENCE_NOTICED_S
    if low_s >= found.low_s:
        return found
    words = (
        f"{found.words} Witnesses may end the lease earlier, once others are back ({back_s:g} s)."
    )
    return replace(found, low_s=low_s, words=words)


def beside_stock(found: Prediction, stock: Prediction) -> Prediction:
    """``found``, with what is predicted of the same without witnesses where that differs."""
    if found.elsewhere is not None:
        return replace(found, elsewhere=beside_stock(found.elsewhere, stock.of_rto))
    stock_s = (stock.low_s, stock.high_s)
    both_return = found.service == stock.service == "returns"
    if not both_return or stock_s == (found.low_s, found.high_s):
        return found
    words = f"{found.words} Without witnesses: {stock_s[0]:g} to {stock_s[1]:g} s."
    return replace(found, words=words, stock_s=stock_s)
