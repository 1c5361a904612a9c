"""Load a CSV file into a table of a Patroni cluster, so that it can be stopped at any moment.

    PGPASSWORD=... python examples/bulk_load.py patients.csv eds.patient --name patients-2026-11 \\
        --user loader --dbname warehouse \\
        --member db-a=http://10.0.1.10:8008,10.0.1.10:5432 \\
        --member db-b=http://10.0.2.10:8008,10.0.2.10:5432

Kill it, pull a cable, switch the primary over: run the same command again, and it goes on after the
last chunk that is there for certain. The file's first line names the columns. The tables of Bascule
must be there: ``--install`` makes them, as a role that may create a schema.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from pathlib import Path

import anyio

from replication import Credentials, Member, Storage, StorageError
from replication.bulk import BulkLoad, FileFormat, Progress
from replication.schema import install


def parse_member(text: str) -> Member:
    """``db-a=http://10.0.1.10:8008,10.0.1.10:5432``: its name, Patroni's REST API, PostgreSQL."""
    name, _, addresses = text.partition("=")
    rest_url, _, postgres = addresses.partition(",")
    host, _, port = postgres.rpartition(":")
    return Member(name=name, rest_url=rest_url, host=host, port=int(port))


def columns_of(path: Path) -> list[str]:
    """The names in the first line, without a byte order mark before them."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        return next(csv.reader(file))


def tell(progress: Progress) -> None:
    """A line a chunk, on standard error."""
    print(
        f"chunk {progress.chunk}: {progress.rows_total:,} rows, {progress.rows_per_s:,.0f} rows/s",
        file=sys.stderr,
    )


async def load(options: argparse.Namespace, columns: list[str]) -> str:
    """Run the load; how it ended, in words."""
    schema, _, table = options.table.rpartition(".")
    credentials = Credentials(
        user=options.user, password=os.environ["PGPASSWORD"], dbname=options.dbname
    )
    async with Storage(options.member, credentials) as storage:
        if options.install:
            await install(storage)
        bulk = BulkLoad(
            storage, name=options.name, table=(schema or "public", table), columns=columns
        )
        loaded = await bulk.run_file(options.path, FileFormat(header="match"), on_progress=tell)
    if loaded.was_finished:
        return f"{loaded.load} was loaded before: {loaded.rows:,} rows"
    return f"{loaded.load}: {loaded.rows:,} rows in {loaded.elapsed_s:.1f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("path", type=Path)
    parser.add_argument("table", help="schema.table")
    parser.add_argument("--name", required=True, help="of this load, never used for another one")
    parser.add_argument("--member", type=parse_member, action="append", required=True)
    parser.add_argument("--user", required=True)
    parser.add_argument("--dbname", required=True)
    parser.add_argument("--install", action="store_true")
    options = parser.parse_args()
    try:
        columns = columns_of(options.path)
    except OSError as error:
        sys.exit(f"{options.path} cannot be read: {error.strerror}")
    try:
        print(anyio.run(load, options, columns))
    except StorageError as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
