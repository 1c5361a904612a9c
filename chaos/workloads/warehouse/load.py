"""What happens to the warehouse while a drill runs: deliveries, reads, withdrawals.

- **Feeders**, one a worker: each is a source, and its deliveries are the chunks of one bulk load,
  in order. ``feed.merge`` runs beside each chunk, in its transaction.
- **A member** reads: by turns a snapshot of the feeds' state on the nearest replica within a bound,
  the same on the primary, and a cohort as a stream, page by page, on dedicated readers first. A
  page that fails is asked for again, on another node where that helps, from the last key on. No
  access without its record: each read on replicas ends with a row in ``bascule.warehouse_access``,
  as an operation.
- **A steward** carries withdrawals out, by turns an opposition (the facts go) and an erasure (the
  identity too). Persons whose number ends in 0 never withdraw: they are the cohort.
- With ``workspaces``, another steward opens and closes projects, and admits and dismisses their
  members (``stewardship``).

The feeders make the rate that was asked for; the member and the steward come on top.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, LiteralString, cast

import anyio

from chaos.evidence.records import Scalar
from chaos.workloads.base import SiteLoad, Work, WorkResult
from chaos.workloads.chunks import ChunksHeard
from chaos.workloads.pacing import Pacer, pacers, run_work, site_pacers, wait_turn
from chaos.workloads.warehouse import WarehouseOptions, stewardship
from chaos.workloads.warehouse.again import WithdrawalValues, erase
from chaos.workloads.warehouse.deliveries import deliver, kind_of_delivery
from chaos.workloads.warehouse.feed import GRANTS, MERGE, RECORD, RECORD_COLUMNS
from chaos.workloads.warehouse.fill import fill_on
from chaos.workloads.warehouse.final import COHORT, FINAL_READ
from chaos.workloads.warehouse.generator import Generator
from chaos.workloads.warehouse.profiles import PROFILES, Profile, measure, require_room
from chaos.workloads.warehouse.tables import FEED_IDS_FROM
from replication import Storage, StorageError, Transaction
from replication.bulk import AppliedChunk, BulkLoad
from replication.wire import Session

RESUME_PAUSE_S = 0.5
"""Before a feed that gave up, or a page that failed, is tried again."""

BOUND_S = 5.0
"""How old a member's read may be: that of the reads beside every load (``chaos/load/reads.py``)."""

PAGE_ROWS = 3_000
PAGE_DEADLINE_S = 5.0
"""Of one page of a cohort, on all members together; then it counts as interrupted, and the stream
is begun again behind the last key."""

MEMBER_SHARE, STEWARD_SHARE, PROJECTS_SHARE = 0.5, 0.25, 0.125
"""Of the rate, on top of it."""

_MARKS = "SELECT source, batch FROM feed.watermark"
_BATCHES = "SELECT source, count(*), max(batch) FROM feed.batch GROUP BY source"
_WITHDRAWN = "SELECT site, max(number) FROM identity.withdrawal GROUP BY site"
_KEPT = (
    "SELECT count(*) FROM warehouse.measurement"
    " WHERE person_id IN (SELECT person_id FROM identity.withdrawal)"
)
_COHORT: LiteralString = (
    "SELECT measurement_id, value_as_number FROM warehouse.measurement WHERE "
    + COHORT
    + " AND measurement_id < %s"
)
_RECORD_ACCESS = "INSERT INTO bascule.warehouse_access (id, what, node) VALUES (%s, %s, %s)"


class Warehouse:
    """See the module."""

    tables: tuple[LiteralString, ...] = (
        """
        CREATE TABLE IF NOT EXISTS bascule.warehouse_access (
            id text NOT NULL, what text NOT NULL, node text NOT NULL,
            written_at timestamptz NOT NULL DEFAULT clock_timestamp()
        )
        """,
    )
    grants: tuple[LiteralString, ...] = (
        *GRANTS,
        "GRANT SELECT, INSERT ON bascule.warehouse_access TO {role}",
    )
    final_read: LiteralString = FINAL_READ

    def __init__(self, options: WarehouseOptions) -> None:
        self._options = options
        if options.workspaces:
            self.tables = (*self.tables, stewardship.TABLE)
            self.grants = (*self.grants, *stewardship.GRANTS)
            self.final_read = stewardship.final_of(FINAL_READ)
        self._profile = PROFILES[options.profile]

    def opening(self) -> Iterable[tuple[LiteralString, tuple[Any, ...]]]:
        """Everything is there after ``fill``."""
        return ()

    async def fill(self, admin: Session) -> None:
        """The tables, the patients, the functions of the feeds.

        Raises:
            PreflightError: the machine is too small for the profile, or another one is there.
        """
        await _require_room_at(admin, self._profile)
        await fill_on(admin, Generator(self._profile, self._options.fill_seed))
        if self._options.workspaces:
            await stewardship.open_drill_projects(admin, self._options.fill_seed)

    async def run(self, load: SiteLoad) -> None:
        """Deliver, read and withdraw until the load is stopped."""
        config = load.config
        feeders = site_pacers(load)
        [member] = self._pacers(load, "member", MEMBER_SHARE)
        [steward] = self._pacers(load, "steward", STEWARD_SHARE)
        async with anyio.create_task_group() as group:
            for worker, pacer in enumerate(feeders):
                feeder = _Feeder(load, worker, pacer, self._options, self._profile.patients)
                group.start_soon(feeder.run)
            group.start_soon(_Member(load, config.workers, member).run)
            group.start_soon(self._withdraw, load, config.workers + 1, steward)
            if self._options.workspaces:
                [of_projects] = self._pacers(load, "projects", PROJECTS_SHARE)
                group.start_soon(self._govern, load, config.workers + 2, of_projects)

    def _pacers(self, load: SiteLoad, name: str, share: float) -> list[Pacer]:
        config = load.config
        return pacers(
            start_s=time.monotonic(),
            rate_per_s=config.rate_per_s * share,
            workers=1,
            seed=config.seed,
            site=f"{config.site}/{name}",
        )

    async def _withdraw(self, load: SiteLoad, worker: int, pacer: Pacer) -> None:
        site = load.config.site
        draw = random.Random(f"{load.config.seed}/{site}/withdrawals")
        number = 0
        while await wait_turn(load, pacer):
            number += 1
            person = draw.randrange(self._profile.patients // 10) * 10 + draw.randint(1, 9)
            kind = "erasure" if number % 2 == 0 else "opposition"
            id_ = f"withdrawal-{site}-{number}"
            values = (id_, site, number, person, kind)
            about: WorkResult = {"op": "withdrawal", "number": number, "person": person}
            seed = self._options.keys_seed
            apply = partial(_carry_out, values, seed)
            work = Work(id=id_, apply=apply, about={**about, "kind": kind})
            await run_work(load, work, worker)

    async def _govern(self, load: SiteLoad, worker: int, pacer: Pacer) -> None:
        """Open, admit, dismiss, close."""
        number = 0
        while await wait_turn(load, pacer):
            number += 1
            one = stewardship.StewardAct(site=load.config.site, number=number)
            apply = partial(one.apply, self._options.fill_seed)
            await run_work(load, Work(id=one.id, apply=apply, about=one.about), worker)


async def _require_room_at(admin: Session, profile: Profile) -> None:
    """Refuse a profile that does not fit where the servers are, if that is on this machine."""
    rows = await admin.fetch(
        "SELECT current_setting('data_directory'), pg_size_bytes(current_setting('max_wal_size')),"
        " (SELECT count(*) FROM pg_stat_replication), to_regclass('feed.generated') IS NOT NULL"
    )
    [(folder, wal_max_bytes, replicas, is_filled)] = rows
    if not is_filled and await anyio.Path(folder).is_dir():
        room = measure(Path(folder))
        require_room(profile, room, nodes=1 + int(replicas), wal_max_bytes=float(wal_max_bytes))


async def _carry_out(
    values: WithdrawalValues, seed: int | None, transaction: Transaction
) -> WorkResult:
    async def ask(statement: LiteralString, values: tuple[Any, ...]) -> Sequence[tuple[Any, ...]]:
        return (await transaction.execute(statement, values)).rows

    await erase(values, seed, ask)
    return {}


class _Feeder:
    """One source: its deliveries are the chunks of one bulk load."""

    def __init__(
        self, load: SiteLoad, worker: int, pacer: Pacer, options: WarehouseOptions, patients: int
    ) -> None:
        self._load = load
        self._worker = worker
        self._pacer = pacer
        self._results = options.delivery_rows
        self._patients = patients
        self._source = f"{load.config.site}-{worker}"
        self._name = f"feed-{self._source}"
        self._heard = ChunksHeard(load, self._name, worker=worker, about=self._about)
        self._made = 0
        """Deliveries that were made; another run makes the same ones again, at once."""

    async def run(self) -> None:
        bulk = BulkLoad(
            cast(Storage, self._heard),
            name=self._name,
            table=RECORD,
            columns=RECORD_COLUMNS,
            chunk_rows=self._results,
            chunk_deadline_s=self._load.config.deadline_s,
            beside=self._merge,
        )
        while True:
            try:
                self._heard.finished(await bulk.run(self._rows()))
            except StorageError:
                # Whether it could have gone on is judged by what is open at the end. After a
                # restore the merge refuses a delivery that is ahead of the watermark: the feed
                # begins again from what is there.
                await anyio.sleep(RESUME_PAUSE_S)
            else:
                return

    def _about(self, chunk: int) -> dict[str, Scalar]:
        number = chunk + 1
        about: dict[str, Scalar] = {"op": "delivery", "source": self._source, "batch": number}
        return {**about, "kind": kind_of_delivery(number), "received": self._results}

    async def _merge(self, transaction: Transaction, chunk: AppliedChunk) -> None:
        number = chunk.start.number
        id_ = self._heard.operation_of(number)
        await transaction.execute(MERGE, (id_, self._source, number, kind_of_delivery(number)))

    async def _rows(self) -> AsyncIterator[tuple[object, ...]]:
        number = 0
        while number < self._made or await wait_turn(self._load, self._pacer):
            number += 1
            self._made = max(self._made, number)
            results = deliver(self._source, number, results=self._results, patients=self._patients)
            for place, result in enumerate(results):
                key = (self._source, number, place, result.record_key, result.version)
                yield *key, result.visit_key, result.person, result.taken_on, result.value


@dataclass(slots=True, kw_only=True)
class _Pages:
    """How far the read of a cohort has come."""

    last_key: Sequence[str] | None = None
    rows: int = 0
    total: Decimal = Decimal(0)
    interruptions: int = 0
    last_error: str | None = None
    nodes: dict[str, None]
    first_s: float | None = None
    """When the first page was there."""


class _Member:
    """Reads, and records what was read."""

    def __init__(self, load: SiteLoad, worker: int, pacer: Pacer) -> None:
        self._load = load
        self._worker = worker
        self._pacer = pacer

    async def run(self) -> None:
        turn = 0
        while await wait_turn(self._load, self._pacer):
            turn += 1
            id_ = f"read-{self._load.config.site}-{turn}"
            if turn % 4 == 0:
                await self._read_cohort(id_)
            elif turn % 4 == 2:
                work = Work(
                    id=id_, apply=_look, leaves_entry=False, about={"op": "snapshot-on-primary"}
                )
                await self._run_repeatable(work)
            else:
                await self._read_snapshot(id_)

    async def _run_repeatable(self, work: Work) -> None:
        """As ``run_work``, in one snapshot."""
        load = self._load
        load.journal.begin(
            work.id, worker=self._worker, leaves_entry=work.leaves_entry, work=work.about
        )
        try:
            applied = await load.storage.run(
                work.apply,
                unit_id=work.id,
                deadline_s=load.config.deadline_s,
                durability=load.config.promise,
                isolation="repeatable read",
            )
        except StorageError as error:
            load.journal.failed(work.id, error)
        else:
            load.journal.applied(work.id, applied, applied.value)

    async def _read_snapshot(self, id_: str) -> None:
        begin_s = time.monotonic()
        try:
            read = await self._load.storage.read(
                _look, max_staleness_s=BOUND_S, isolation="repeatable read", deadline_s=BOUND_S
            )
        except StorageError:
            return  # reads that cannot be had are judged beside every load (``read-service``)
        about: dict[str, Scalar] = {
            "op": "snapshot",
            "begin_s": begin_s,
            "end_s": time.monotonic(),
            "reader": read.node,
            "source": read.source,
            "bound_s": BOUND_S,
        }
        await self._record(id_, {**about, **read.value}, read.node)

    async def _read_cohort(self, id_: str) -> None:
        begin_s = time.monotonic()
        pages = _Pages(nodes={})
        is_complete = False
        with anyio.move_on_after(self._load.config.deadline_s):
            while not is_complete and not self._load.stopping.is_set():
                try:
                    is_complete = await self._read_pages(pages)
                except StorageError as error:
                    pages.interruptions += 1
                    pages.last_error = f"{type(error).__name__}: {error}"
                    await anyio.sleep(RESUME_PAUSE_S)
        about: dict[str, Scalar] = {
            "op": "cohort",
            "begin_s": begin_s,
            "end_s": time.monotonic(),
            "rows": pages.rows,
            "total": str(pages.total),
            "complete": is_complete,
            "interruptions": pages.interruptions,
            "last_error": pages.last_error,
            "readers": ", ".join(pages.nodes),
            "first_s": pages.first_s,
        }
        await self._record(id_, about, ", ".join(pages.nodes))

    async def _read_pages(self, pages: _Pages) -> bool:
        """Read on behind the last key; whether that was all, and not the end of the load."""
        storage = cast(Storage, self._load.storage)  # this workload speaks to nothing else
        async with storage.read_stream(
            _COHORT,
            (FEED_IDS_FROM,),
            key="measurement_id",
            start_after=pages.last_key,
            batch_rows=PAGE_ROWS,
            deadline_s=PAGE_DEADLINE_S,
        ) as stream:
            async for page in stream:
                pages.nodes[str(stream.node)] = None
                pages.first_s = pages.first_s or time.monotonic()
                pages.rows += len(page)
                pages.total += sum((value for _, value in page), Decimal(0))
                pages.last_key = stream.last_key
                if self._load.stopping.is_set():
                    return False
        return True

    async def _record(self, id_: str, about: dict[str, Scalar], node: str) -> None:
        what = str(about["op"])

        async def record(transaction: Transaction) -> WorkResult:
            await transaction.execute(_RECORD_ACCESS, (id_, what, node))
            return {}

        await run_work(self._load, Work(id=id_, apply=record, about=about), self._worker)


async def _look(transaction: Transaction) -> WorkResult:
    """What the feeds have brought, and who has withdrawn, in the snapshot of the transaction."""
    marks = {str(source): int(n) for source, n in (await transaction.execute(_MARKS)).rows}
    batches = (await transaction.execute(_BATCHES)).rows
    withdrawn = {str(site): int(n) for site, n in (await transaction.execute(_WITHDRAWN)).rows}
    [(kept,)] = (await transaction.execute(_KEPT)).rows
    there = {str(source): (int(number), int(last)) for source, number, last in batches}
    torn = [s for s in {*marks, *there} if there.get(s) != (marks.get(s), marks.get(s))]
    return {
        "marks": json.dumps(marks, sort_keys=True),
        "withdrawn": json.dumps(withdrawn, sort_keys=True),
        "torn": ", ".join(sorted(torn)) or None,
        "kept": int(kept),
    }
