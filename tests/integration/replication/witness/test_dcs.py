"""What a witness writes into a real etcd, and when its act does nothing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import anyio.to_thread
import pytest
from support.postgres.local_etcd import LocalEtcd, local_etcd, of_the_machine, of_the_wheel

from replication.config.settings import Dcs
from replication.witness.dcs import WitnessDcs
from replication.witness.etcd import EtcdUnanswered
from replication.witness.gate import RealOutside, options_of
from replication.witness.keys import Reading
from replication.witness.model import EndLease, Suspect, WitnessSettings

pytestmark = pytest.mark.anyio

SITES = frozenset({"paris", "orsay", "saint-cloud"})
PATRONI = "/service/eds/"
MEMBER = {
    "conn_url": "postgres://10.0.1.10:5432/postgres",
    "api_url": "http://10.0.1.10:8008/patroni",
    "state": "running",
    "role": "primary",
}
CONFIG = {"synchronous_mode": "quorum", "synchronous_mode_strict": True, "ttl": 30}
SYNC = {"leader": "db-paris", "sync_standby": "db-orsay,db-saint-cloud", "quorum": 1}
LIMIT_S = 10.0


@pytest.fixture
def etcd(request: pytest.FixtureRequest) -> Iterator[LocalEtcd]:
    """With the keys of a cluster that is well; version 3.4 unless a test asks for both. In memory:
    a witness waits a third of a second for an answer, and a disk that others use may take longer.
    """
    program = getattr(request, "param", of_the_machine)
    with (
        TemporaryDirectory(dir="/dev/shm") as folder,
        local_etcd(Path(folder), program()) as server,
    ):
        server.put(f"{PATRONI}config", json.dumps(CONFIG))
        server.put(f"{PATRONI}sync", json.dumps(SYNC))
        server.put(f"{PATRONI}leader", "db-paris")
        server.put(f"{PATRONI}members/db-paris", json.dumps(MEMBER))
        yield server


@asynccontextmanager
async def witness(etcd: LocalEtcd, site: str, *, is_dry: bool = False) -> AsyncIterator[WitnessDcs]:
    dcs = Dcs(endpoints=(etcd.endpoint,), scope="eds")
    settings = WitnessSettings(name=site, site=site, sites=SITES)
    found = WitnessDcs(dcs, settings, is_dry=is_dry)
    await found.stay_alive()
    try:
        yield found
    finally:
        with anyio.CancelScope(shield=True):
            await found.aclose()


def suspect_of(reading: Reading) -> Suspect:
    assert reading.view.leader is not None
    return Suspect(
        leader="db-paris",
        leader_revision=reading.view.leader.revision,
        reason="silent",
        case="host-silent",
    )


def act_on(reading: Reading) -> EndLease:
    view = reading.view
    assert view.leader is not None
    assert view.sync is not None
    assert view.config is not None
    return EndLease(
        leader="db-paris",
        leader_revision=view.leader.revision,
        sync_revision=view.sync.revision,
        config_revision=view.config.revision,
        member_revision=next(one.revision for one in view.members),
        voted_by=tuple(sorted(vote.witness for vote in reading.votes)),
        reason="silent",
        case="host-silent",
    )


async def test_the_keys_are_read_as_one_view(etcd: LocalEtcd) -> None:
    async with witness(etcd, "paris") as paris:
        reading = await paris.read()
    view = reading.view
    assert view.leader is not None
    assert (view.leader.member, view.failover_revision) == ("db-paris", None)
    assert view.sync is not None
    assert (view.sync.leader, view.sync.quorum) == ("db-paris", 1)
    assert view.sync.standbys == {"db-orsay", "db-saint-cloud"}
    assert view.config is not None
    assert (view.config.synchronous_mode, view.config.is_strict) == ("quorum", True)
    [member] = reading.members.values()
    assert (member.rest_url, member.host, member.port) == (
        "http://10.0.1.10:8008", "10.0.1.10", 5432
    )  # fmt: skip
    assert reading.alive == {"paris"}


@pytest.mark.parametrize("etcd", [of_the_machine, of_the_wheel], indirect=True)
async def test_an_act_ends_the_lease_and_nobody_asks_the_dead(etcd: LocalEtcd) -> None:
    async with witness(etcd, "paris") as paris, witness(etcd, "orsay") as orsay:
        suspect = suspect_of(await paris.read())
        await paris.vote(suspect)
        await orsay.vote(suspect)
        reading = await paris.read()
        assert {vote.witness for vote in reading.votes} == {"paris", "orsay"}
        assert await paris.end_lease(act_on(reading), reading)
        after = await orsay.read()
        assert after.view.leader is None
        [member] = after.view.members
        assert not member.has_api_url
        assert after.members["db-paris"].host == "10.0.1.10"
        [act] = after.acts
        assert (act.leader, act.leader_revision) == ("db-paris", suspect.leader_revision)
        # The other witness, who decided the same on the same view, comes late.
        assert not await orsay.end_lease(act_on(reading), reading)


CHANGES: dict[str, Callable[[LocalEtcd], None]] = {
    "sync": lambda etcd: etcd.put(f"{PATRONI}sync", json.dumps(SYNC)),
    "config": lambda etcd: etcd.put(f"{PATRONI}config", json.dumps({**CONFIG, "pause": True})),
    "failover": lambda etcd: etcd.put(f"{PATRONI}failover", json.dumps({"leader": "db-paris"})),
    "member": lambda etcd: etcd.put(f"{PATRONI}members/db-paris", json.dumps(MEMBER)),
    "leader": lambda etcd: etcd.put(f"{PATRONI}leader", "db-paris"),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_an_act_does_nothing_once_what_was_judged_has_changed(
    etcd: LocalEtcd, change: str
) -> None:
    async with witness(etcd, "paris") as paris:
        await paris.vote(suspect_of(await paris.read()))
        reading = await paris.read()
        await anyio.to_thread.run_sync(CHANGES[change], etcd)
        assert not await paris.end_lease(act_on(reading), reading)
        assert (await paris.read()).view.leader is not None


async def test_an_act_does_nothing_once_a_vote_was_taken_back(etcd: LocalEtcd) -> None:
    async with witness(etcd, "paris") as paris, witness(etcd, "orsay") as orsay:
        suspect = suspect_of(await paris.read())
        await paris.vote(suspect)
        await orsay.vote(suspect)
        reading = await paris.read()
        await orsay.take_back([orsay.names.vote(suspect.leader_revision, "orsay")])
        assert not await paris.end_lease(act_on(reading), reading)


async def test_a_witness_that_slept_finds_its_vote_expired(etcd: LocalEtcd) -> None:
    """It decided, slept longer than its votes live, and acts on waking."""
    async with witness(etcd, "paris") as paris, witness(etcd, "orsay") as orsay:
        await paris.vote(suspect_of(await paris.read()))
        reading = await paris.read()
        with anyio.fail_after(LIMIT_S):
            while "paris" in (await orsay.read()).alive:
                await anyio.sleep(0.1)
        assert not await paris.end_lease(act_on(reading), reading)
        assert (await orsay.read()).view.leader is not None


async def test_a_vote_about_another_lease_is_not_cast(etcd: LocalEtcd) -> None:
    async with witness(etcd, "paris") as paris:
        suspect = suspect_of(await paris.read())
        await anyio.to_thread.run_sync(etcd.put, f"{PATRONI}leader", "db-orsay")
        await paris.vote(replace(suspect))
        assert (await paris.read()).votes == ()


async def test_votes_of_a_dry_run_count_for_its_kind_alone(etcd: LocalEtcd) -> None:
    async with witness(etcd, "paris", is_dry=True) as paris, witness(etcd, "orsay") as orsay:
        await paris.vote(suspect_of(await paris.read()))
        assert [vote.witness for vote in (await paris.read()).votes] == ["paris"]
        assert (await orsay.read()).votes == ()


async def test_who_leaves_leaves_nothing(etcd: LocalEtcd) -> None:
    async with witness(etcd, "paris") as paris, witness(etcd, "orsay") as orsay:
        await paris.vote(suspect_of(await paris.read()))
        await paris.leave()
        left = await orsay.read()
        assert (left.votes, left.alive) == ((), {"orsay"})


async def test_an_etcd_that_is_dead_is_told_within_its_deadline(etcd: LocalEtcd) -> None:
    async with witness(etcd, "paris") as paris:
        etcd.kill()
        with anyio.fail_after(1.0), pytest.raises(EtcdUnanswered, match=r"silent|refused|failed"):
            await paris.read()


async def test_a_dead_member_of_etcd_costs_a_moment(etcd: LocalEtcd) -> None:
    dcs = Dcs(endpoints=("http://127.0.0.1:1", etcd.endpoint), scope="eds")
    settings = WitnessSettings(name="paris", site="paris", sites=SITES)
    paris = WitnessDcs(dcs, settings, is_dry=False)
    with anyio.fail_after(0.4):
        assert (await paris.read()).view.leader is not None
    await paris.aclose()


async def test_a_sign_of_life_that_somebody_deleted_is_there_again(etcd: LocalEtcd) -> None:
    async with witness(etcd, "paris") as paris:
        await paris.take_back([paris.names.alive("paris")])
        assert (await paris.read()).alive == frozenset()
        await paris.stay_alive(is_told=False)
        assert (await paris.read()).alive == {"paris"}


def outside(etcd: LocalEtcd) -> RealOutside:
    words = ["--name", "db-orsay", "--scope", "eds", "--etcd", "http://127.0.0.1:1"]
    return RealOutside(options_of([*words, "--etcd", etcd.endpoint]))


@pytest.mark.parametrize("etcd", [of_the_machine, of_the_wheel], indirect=True)
async def test_a_sealed_sync_key_is_written_by_nobody_who_read_it_before(etcd: LocalEtcd) -> None:
    """The gate's seal, and what Patroni's ``set_sync_state_value`` does afterwards: a put that
    compares the revision. The first etcd that the gate is told of is dead."""
    gate = outside(etcd)
    before = gate.read()
    assert before.sync is not None
    assert before.sync.members == {"db-paris", "db-orsay", "db-saint-cloud"}
    assert gate.seal(before)
    sealed = gate.read()
    assert sealed.sync is not None
    assert (sealed.leader, sealed.sync.text) == ("db-paris", before.sync.text)
    assert sealed.sync.revision > before.sync.revision
    # The old primary wakes, and so does a gate of an earlier lease.
    assert not gate.seal(before)
    assert gate.seal(sealed)
    assert not gate.seal(sealed._replace(lease=sealed.lease - 1))
