"""A process that loads in the lab: ``python -m support.lab.bulk_loader``, its config on stdin.

Writes a line of JSON for every chunk to the file ``progress``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, TextIO

import anyio

from replication import Credentials, Member, Storage
from replication.bulk import BulkLoad, Progress


async def main(config: dict[str, Any], file: TextIO) -> None:
    """Load all rows."""
    credentials = Credentials(user=config["user"], password=config["password"], dbname="postgres")
    members = [Member(**member) for member in config["members"]]
    async with Storage(members, credentials) as storage:

        def on_progress(progress: Progress) -> None:
            line = {
                "chunk": progress.chunk,
                "attempts": progress.attempts,
                "node": storage.primary,
            }
            file.write(json.dumps(line) + "\n")

        load = BulkLoad(
            storage,
            name="lab",
            table=("public", "patient"),
            columns=["id", "name"],
            chunk_rows=config["chunk_rows"],
        )
        rows = ((n, f"name-{n}") for n in range(config["rows"]))
        await load.run(rows, on_progress=on_progress)


if __name__ == "__main__":
    asked = json.loads(sys.stdin.readline())
    with Path(asked["progress"]).open("w", buffering=1) as progress_file:
        anyio.run(main, asked, progress_file)
