"""A process that loads, to be killed: ``python -m support.postgres.bulk_process CONFIG``."""

from __future__ import annotations

import json
import sys

import anyio
from support.postgres.bulk_ground import CREDENTIALS, load, rows

from replication import Member, Storage


async def main(*, rest_port: int, port: int, rows_total: int, halt_at: int | None) -> None:
    """Run the load of the tests, and write down what became of it."""
    member = Member(
        name="db-a", rest_url=f"http://127.0.0.1:{rest_port}", host="127.0.0.1", port=port
    )
    async with Storage([member], CREDENTIALS) as storage:
        loaded = await load(storage).run(rows(rows_total, halt_at=halt_at))
    document = {
        "rows": loaded.rows,
        "resumed_after": loaded.resumed_after,
        "was_finished": loaded.was_finished,
    }
    print(json.dumps(document), flush=True)


if __name__ == "__main__":
    config = json.loads(sys.argv[1])

    async def run() -> None:
        """With the names of the config."""
        await main(
            rest_port=config["rest_port"],
            port=config["port"],
            rows_total=config["rows"],
            halt_at=config["halt_at"],
        )

    anyio.run(run)
