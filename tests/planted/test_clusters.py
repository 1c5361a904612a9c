"""Clusters that are not what they seem, which real loads and drills must find."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from support.commands.commands import LOW_LOAD
from support.evidence.tiny import A, B, run, scenario
from support.house.house_copy import copy_house, with_interpreter
from support.postgres.load_runs import final_read, run_load
from support.postgres.local_postgres import PASSWORD, SUPERUSER, LocalPostgres, local_postgres
from support.postgres.patroni_answers import rest_api

from chaos.evidence.records import FinalRead, SiteHistory
from chaos.findings import Verdict
from chaos.judge.judging import judge
from chaos.load.prepare import prepare
from chaos.scenarios.model import WorkloadSpec
from chaos.workloads.counter import CounterOptions
from replication import Credentials
from replication.wire import Address, session_to

pytestmark = [pytest.mark.slow, pytest.mark.anyio]

COUNTER = WorkloadSpec(options=CounterOptions())
ACCESS = ("bascule_load", "password of the load")
SITES = ("paris", "orsay")


async def load_site(site: str, server: LocalPostgres, folder: Path) -> SiteHistory:
    """A site that finds this server under the name of the cluster, and counts there."""
    address = Address(node=server.name, host="127.0.0.1", port=server.port)
    admin = Credentials(user=SUPERUSER, password=PASSWORD, dbname="postgres")
    async with session_to(address, admin) as session, rest_api(primary=True) as answers:
        await prepare(session, role=ACCESS[0], password=ACCESS[1], spec=COUNTER)
        config = {
            "site": site,
            "sites": SITES,
            "members": [
                {
                    "name": server.name,
                    "rest_url": f"http://127.0.0.1:{answers.port}",
                    "host": "127.0.0.1",
                    "port": server.port,
                }
            ],
            "user": ACCESS[0],
            "password": ACCESS[1],
            "dbname": "postgres",
            "rate_per_s": 20,
            "workers": 2,
            "seed": 7,
            "deadline_s": 30,
            "history_path": str(folder / f"history-{site}.jsonl"),
            "workload": COUNTER.to_json(),
            "durability": "async",
        }
        history, _ = await run_load(config, seconds=2)
        return history


async def test_two_clusters_behind_one_name_give_values_twice_and_lose_half(
    tmp_path: Path,
) -> None:
    histories: dict[str, SiteHistory] = {}
    with (
        local_postgres(tmp_path, name=A) as one,
        local_postgres(tmp_path, name=B) as other,
    ):

        async def count(site: str, server: LocalPostgres) -> None:
            histories[site] = await load_site(site, server, tmp_path)

        async with anyio.create_task_group() as group:
            group.start_soon(count, "paris", one)
            group.start_soon(count, "orsay", other)
        ports = {A: one.port, B: other.port}
        finals = await final_read(ports, tmp_path, COUNTER, ACCESS)
    operations = [one for history in histories.values() for one in history.operations]
    assert Counter(one.outcome for one in operations).keys() == {"ok"}

    def found(*reads: FinalRead) -> set[str]:
        judged = run(operations, reads=reads, asked=scenario(workload=COUNTER))
        invalid = (one for one in judge(judged).findings if one.verdict is Verdict.INVALID)
        return {one.kind.word for one in invalid}

    # Both say that they are the primary, and each alone is believed too: the other one's are lost.
    assert "wrong-counter" in found(finals[A], finals[B])
    for believed, doubted in ((A, B), (B, A)):
        replica = replace(finals[doubted], is_primary=False)
        kinds = found(finals[believed], replica)
        assert kinds >= {"wrong-counter", "lost-acknowledged-write", "divergent-replica"}, kinds


OLD_FILES = '''
"""A replica gets back data files that are older than its WAL, as from a backup of one volume."""

import shutil

import anyio

from chaos.faults.base import NO_PARAMS, FaultKind, FaultParams, FaultWords, Stage, nothing_to_undo
from chaos.faults.targets import HOSTS, Victim
from chaos.load.admin import superuser_session
from chaos.wording import joined
from cluster import maintenance
from cluster.substrates.base import Killable

PAGES = 5
SIZE = "SELECT pg_relation_size('bascule.ledger') / 8192"


async def restore(stage: Stage, victim: Victim, params: FaultParams) -> str:
    """Keep the files, let the ledger grow by pages, have them on the disk, and take the old."""
    cluster, host = stage.cluster, victim.name
    pgdata = cluster.substrate.data_folder(host) / "pgdata"
    await anyio.to_thread.run_sync(shutil.copytree, pgdata / "base", pgdata.parent / "kept")
    before = await ask(cluster, host, SIZE)

    async def has_grown() -> bool:
        return await ask(cluster, host, SIZE) >= before + PAGES

    await maintenance.wait_for(has_grown, "the ledger has not grown", timeout_s=120)
    for node in (await cluster.primary(), host):
        await ask(cluster, node, "CHECKPOINT")
    machine = stage.able(Killable)
    await machine.kill_host(host)
    await anyio.to_thread.run_sync(put_back, pgdata)
    await machine.start_host(host)
    await cluster.start_services(host)
    return f"{host} has the files of a moment {PAGES} pages ago"


def put_back(pgdata):
    shutil.rmtree(pgdata / "base")
    shutil.move(pgdata.parent / "kept", pgdata / "base")


async def ask(cluster, node, question):
    async with superuser_session(cluster, node, application="bascule-old-files") as session:
        rows = await session.fetch(question)
        return int(rows[0][0]) if rows else 0


OLD_FILES = FaultKind(
    key="old-files",
    words=FaultWords(
        title="old files",
        healed="nothing",
        noun=lambda hosts: f"the old files of {joined(hosts)}",
        clause=lambda hosts: f"{joined(hosts)} got old files",
    ),
    params=FaultParams,
    read=lambda table: NO_PARAMS,
    takes=HOSTS,
    needs=(Killable,),
    lasts=False,
    effect=lambda params: "unpredicted",
    strike=restore,
    undo=nothing_to_undo,
    draw=None,
)
'''
OLD_REPLICA = """
name = "old-replica"
title = "A replica comes back from an old backup"
steady_s = 2
fault_s = 5
heal_when_service_is_back = false
after_heal_s = 2
recovery_s_max = 60

[[fault]]
fault = "old-files"
target = "host:db-orsay"
at_s = 0

[expect]
rto_s_max = 120
"""


def test_a_replica_from_an_old_backup_is_found_to_differ(tmp_path: Path) -> None:
    copy = with_interpreter(copy_house(tmp_path / "house"), tmp_path / "python")
    copy.add_file("chaos/faults/old_files.py", OLD_FILES)
    copy.add_line("chaos/faults/registry.py", "    SWITCHOVER,", "    OLD_FILES,")
    copy.add_line(
        "chaos/faults/registry.py",
        "from chaos.faults.memory import OUT_OF_MEMORY",
        "from chaos.faults.old_files import OLD_FILES",
    )
    path, folder = tmp_path / "old.toml", tmp_path / "run"
    path.write_text(OLD_REPLICA)
    drill = ("-m", "chaos", "drill", str(path), "--seed", "3", *LOW_LOAD, "--out", str(folder))
    done = copy.python(*drill, timeout_s=400)
    assert done.returncode == 1, done.stdout + done.stderr
    verdict = json.loads((folder / "verdict.json").read_text())
    wrong = {one["kind"] for one in verdict["findings"] if one["verdict"] == "invalid"}
    assert wrong & {"divergent-replica", "unreadable-node"}, wrong
