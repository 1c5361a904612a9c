"""What a witness reads from etcd, and the three things that it writes: that it lives, its vote, and
the one transaction that ends a lease.

- Patroni's keys and the witnesses' are read in one transaction, so at one revision.
- What a witness writes is on a lease of its own, which it keeps alive: votes of a witness that died
  expire.
- **The act** compares the modification revisions of ``leader``, ``sync`` and ``config`` with those
  that were judged, demands that there is no ``failover`` key, and that every vote that counted is
  still there: a witness that slept between its decision and its act finds its own vote expired.
  Then it deletes ``leader``. Of a host that is silent it first puts ``members/LEADER`` again
  without its ``api_url``, on its own lease: candidates ask every member with an ``api_url`` before
  they take the lock (``patroni/ha.py``, ``_is_healthiest_node``), a dead one for 2 s; both changes
  reach them in one event, in this order.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from replication.config.settings import Dcs
from replication.witness.etcd import HURRIED_DEADLINE_S, EtcdClient, EtcdUnanswered
from replication.witness.keys import (
    KeyNames,
    Reading,
    encoded,
    key_range,
    read_pairs,
)
from replication.witness.model import DcsMember, EndLease, Suspect, WitnessSettings

ACT_LEASE_S_MIN = 60.0
"""An act is remembered at least that long, whatever ``act_memory_s`` says."""


HURRIED: Mapping[str, float] = {"stagger_s": 0.0, "deadline_s": HURRIED_DEADLINE_S}


class WitnessDcs:
    """One witness's dealings with etcd.

    Args:
        dcs: where it is.
        settings: of the witness.
        is_dry: it only says what it would do: its votes count for others of its kind alone.
        clock, wall_clock: monotonic seconds, and seconds since 1970.
    """

    def __init__(
        self,
        dcs: Dcs,
        settings: WitnessSettings,
        *,
        is_dry: bool,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.names = KeyNames(dcs, is_dry=is_dry)
        self._etcd = EtcdClient(dcs, clock=clock)
        self._name = settings.name
        self._site = settings.site
        self._vote_s = settings.votes_expire_s
        self._act_memory_s = max(settings.act_memory_s, ACT_LEASE_S_MIN)
        self._clock = clock
        self._wall_clock = wall_clock
        self._lease: int | None = None
        self._act_lease: int | None = None
        self._act_lease_s = 0.0

    async def read(self, *, hurried: bool = False) -> Reading:
        """All keys, at one revision.

        Args:
            hurried: ask every member of etcd at once, and not for long.

        Raises:
            EtcdUnanswered: etcd does not answer.
        """
        sent_s = self._clock()
        prefixes = (self.names.patroni, self.names.own)
        body = {"success": [{"request_range": key_range(prefix)} for prefix in prefixes]}
        answer = await self._etcd.ask_all("/kv/txn", body, **(HURRIED if hurried else {}))
        pairs = [
            pair
            for one in answer.get("responses", [])
            for pair in one.get("response_range", {}).get("kvs", [])
        ]
        return self.names.read(read_pairs(pairs), read_s=sent_s)

    async def stay_alive(self, *, is_told: bool = True) -> None:
        """Keep the lease of what this witness writes, or take a new one and say that it lives.

        Args:
            is_told: its key was there when etcd was last read; somebody may have deleted it.

        Raises:
            EtcdUnanswered: etcd does not answer.
        """
        if self._lease is not None:
            answer = await self._etcd.ask_all("/lease/keepalive", {"ID": self._lease})
            if int(answer.get("result", {}).get("TTL", 0)) > 0:
                if not is_told:
                    await self._say_alive(self._lease)
                await self._keep_act_lease()
                return
        lease = await self._grant(self._vote_s)
        await self._say_alive(lease)
        # An etcd that has lost one lease (it was built anew, say) has lost the other.
        self._lease, self._act_lease = lease, None
        await self._keep_act_lease()

    async def vote(self, suspect: Suspect | EndLease) -> None:
        """Cast a vote, or renew it: only while that leader key is there.

        Raises:
            EtcdUnanswered: etcd does not answer, or there is no lease yet.
        """
        if self._lease is None:
            raise EtcdUnanswered("this witness has no lease yet")
        value = {"site": self._site, "leader": suspect.leader, "reason": suspect.reason}
        key = self.names.vote(suspect.leader_revision, self._name)
        await self._etcd.ask_all(
            "/kv/txn",
            {
                "compare": [_at_revision(f"{self.names.patroni}leader", suspect.leader_revision)],
                "success": [_put(key, json.dumps(value), self._lease)],
            },
            **HURRIED,
        )

    async def take_back(self, keys: Sequence[str]) -> None:
        """Delete votes of one's own.

        Raises:
            EtcdUnanswered: etcd does not answer.
        """
        deletes = [{"request_delete_range": {"key": encoded(key)}} for key in keys]
        await self._etcd.ask_all("/kv/txn", {"success": deletes})

    async def end_lease(self, decision: EndLease, reading: Reading) -> bool:
        """The act; False: what was judged is no longer so, and nothing was done.

        Raises:
            EtcdUnanswered: nobody knows whether it was done.
        """
        record = {
            "leader": decision.leader,
            "by": self._name,
            "voted_by": list(decision.voted_by),
            "case": decision.case,
            "reason": decision.reason,
            "wall_s": round(self._wall_clock(), 3),
        }
        body = act_transaction(
            decision, reading, self.names, record=json.dumps(record), act_lease=self._act_lease
        )
        answer, is_only_one = await self._etcd.ask_in_turn("/kv/txn", body)
        is_done = answer.get("succeeded") is True
        if not is_done and not is_only_one:
            raise EtcdUnanswered("done already, perhaps by the member that did not answer")
        return is_done

    async def leave(self) -> None:
        """Give the lease back, and with it everything that this witness has written.

        Raises:
            EtcdUnanswered: etcd does not answer: it expires by itself.
        """
        if self._lease is not None:
            await self._etcd.ask_all("/lease/revoke", {"ID": self._lease})
            self._lease = None

    async def aclose(self) -> None:
        """Close the connections."""
        await self._etcd.aclose()

    async def _keep_act_lease(self) -> None:
        """A lease that lasts at least ``act_memory_s`` from now; it is not kept alive."""
        if self._act_lease is None or self._clock() - self._act_lease_s > self._act_memory_s:
            self._act_lease = await self._grant(2 * self._act_memory_s)
            self._act_lease_s = self._clock()

    async def _grant(self, ttl_s: float) -> int:
        answer = await self._etcd.ask_all("/lease/grant", {"TTL": max(1, round(ttl_s))})
        return int(answer["ID"])

    async def _say_alive(self, lease: int) -> None:
        put = _put(self.names.alive(self._name), json.dumps({"site": self._site}), lease)
        await self._etcd.ask_all("/kv/txn", {"success": [put]})


def act_transaction(
    decision: EndLease,
    reading: Reading,
    names: KeyNames,
    *,
    record: str,
    act_lease: int | None,
) -> dict[str, Any]:
    """The transaction of an act, as etcd's gateway takes it. Pure.

    Args:
        decision: what was decided.
        reading: the keys that it was decided on.
        names: of the keys.
        record: what is written down about it.
        act_lease: the lease of that record.
    """
    compare = [
        _at_revision(f"{names.patroni}leader", decision.leader_revision),
        _at_revision(f"{names.patroni}sync", decision.sync_revision),
        _at_revision(f"{names.patroni}config", decision.config_revision),
        {"key": encoded(f"{names.patroni}failover"), "target": "CREATE", "create_revision": "0"},
    ]
    compare += [
        {
            "key": encoded(names.vote(decision.leader_revision, witness)),
            "target": "VERSION",
            "result": "GREATER",
            "version": "0",
        }
        for witness in decision.voted_by
    ]
    success: list[dict[str, Any]] = []
    member = next((one for one in reading.view.members if one.name == decision.leader), None)
    if member is not None and decision.member_revision is not None:
        key = f"{names.patroni}members/{decision.leader}"
        compare.append(_at_revision(key, decision.member_revision))
        success.append(_put(key, *_without_api_url(reading, member)))
    success.append({"request_delete_range": {"key": encoded(f"{names.patroni}leader")}})
    success.append(_put(names.act(decision.leader_revision), record, act_lease))
    return {"compare": compare, "success": success}


def _without_api_url(reading: Reading, member: DcsMember) -> tuple[str, int]:
    """The value of a member's key that nobody asks, and its lease."""
    said = {
        name: value
        for name, value in reading.members[member.name].said.items()
        if name != "api_url"
    }
    return json.dumps(said, separators=(",", ":")), member.lease_id


def _at_revision(key: str, revision: int) -> dict[str, Any]:
    return {
        "key": encoded(key),
        "target": "MOD",
        "result": "EQUAL",
        "mod_revision": str(revision),
    }


def _put(key: str, value: str, lease: int | None) -> dict[str, Any]:
    request: dict[str, Any] = {"key": encoded(key), "value": encoded(value)}
    if lease:
        request["lease"] = str(lease)
    return {"request_put": request}
