"""A write in one process, a read in another that must see it: the token travels in a job's state.

    python examples/read_your_writes.py write Marie fever   # leaves job.json
    python examples/read_your_writes.py read                # any replica that has the visit will do

A token is one line of ASCII, so an HTTP header can carry it as well: send ``str(done.token)``, and
on the other side ``Token.parse(request.headers[...])``. It is not signed; who gets one from outside
catches ``ValueError`` (it is none) and ``ReadFailed`` (nobody has what it stands for).
"""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path

from replication import StorageConfig, Token, TokenLost, Transaction, load_config, open_storage


async def write(config: StorageConfig, patient: str, reason: str) -> dict[str, object]:
    """Admit a patient; the state of the job: the visit, and what a later step must see."""

    async def admit(tx: Transaction) -> int:
        inserted = await tx.execute(
            "INSERT INTO visit (patient, reason) VALUES (%s, %s) RETURNING id", (patient, reason)
        )
        return int(inserted.rows[0][0])

    async with open_storage(config) as storage:
        done = await storage.run(admit)
    print(f"visit {done.value} was written on {done.node}")
    return {"visit": done.value, "after": str(done.token)}


async def read(config: StorageConfig, job: dict[str, object]) -> None:
    """What the first step wrote, from the nearest member that has it."""

    async def visit(tx: Transaction) -> tuple[object, ...]:
        found = await tx.execute("SELECT patient, reason FROM visit WHERE id = %s", (job["visit"],))
        return found.rows[0]

    async with open_storage(config) as storage:
        try:
            seen = await storage.read(visit, after=Token.parse(str(job["after"])))
        except TokenLost as error:
            # Only where replication is asynchronous: a failover took the write away.
            raise SystemExit(f"the first step has to be done again: {error}") from error
    patient, reason = seen.value
    print(f"{seen.node} ({seen.source}) shows visit {job['visit']}: {patient}, {reason}")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Read what another process has written.")
    parser.add_argument("--config", type=Path, default=Path("bascule.toml"))
    parser.add_argument("--state", type=Path, default=Path("job.json"))
    steps = parser.add_subparsers(dest="step", required=True)
    writing = steps.add_parser("write")
    writing.add_argument("patient")
    writing.add_argument("reason")
    steps.add_parser("read")
    options = parser.parse_args()
    config = load_config(options.config)
    if options.step == "write":
        job = asyncio.run(write(config, options.patient, options.reason))
        options.state.write_text(json.dumps(job), encoding="utf-8")
    else:
        asyncio.run(read(config, json.loads(options.state.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()
