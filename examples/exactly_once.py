"""A job that may be killed at any moment and started again, and yet is done once.

    python examples/exactly_once.py do  job-17 Marie fever   # as often as you like
    python examples/exactly_once.py ask job-17               # what became of it

What makes it so is the unit's id: it comes from the job (its number in the queue, a message id, a
file's name and line), never from a call that would draw another one the next time.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from replication import (
    AlreadyApplied,
    NotApplied,
    Storage,
    Transaction,
    Unknown,
    load_config,
    open_storage,
)

DONE, NOT_DONE, NOBODY_KNOWS = 0, 1, 4
"""Exit codes: done; not done, give it again; give it again too, but it may be done already."""


async def do(storage: Storage, job: str, patient: str, reason: str, deadline_s: float) -> int:
    """Do the job, unless an earlier process did."""

    async def admit(tx: Transaction) -> None:
        await tx.execute("INSERT INTO visit (patient, reason) VALUES (%s, %s)", (patient, reason))

    try:
        done = await storage.run(admit, unit_id=job, deadline_s=deadline_s)
    except AlreadyApplied:
        print(f"{job} was done before")
    except NotApplied as error:
        print(f"{job} was not done, and can be given again: {error}")
        return NOT_DONE
    except Unknown as error:
        # The very same call, in whatever process, asks first and does it only if it is not done.
        print(f"{job} may have been done; give it again, or ask: {error}")
        return NOBODY_KNOWS
    else:
        print(f"{job} is done{', by an answer that had to be asked for' if done.resolved else ''}")
    return DONE


async def ask(storage: Storage, job: str, deadline_s: float) -> int:
    """Whether the job is done. "Not done" also means: no earlier attempt can do it any more."""
    try:
        outcome = await storage.outcome(job, deadline_s=deadline_s)
    except Unknown as error:
        print(f"nobody can be asked now: {error}")
        return NOBODY_KNOWS
    print(f"{job} is {'done' if outcome.applied else 'not done, and no attempt is on its way'}")
    return DONE if outcome.applied else NOT_DONE


async def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Do a job once, whatever happens.")
    parser.add_argument("--config", type=Path, default=Path("bascule.toml"))
    parser.add_argument("--deadline-s", type=float, default=30)
    steps = parser.add_subparsers(dest="step", required=True)
    doing = steps.add_parser("do")
    doing.add_argument("job")
    doing.add_argument("patient")
    doing.add_argument("reason")
    steps.add_parser("ask").add_argument("job")
    options = parser.parse_args()
    async with open_storage(load_config(options.config)) as storage:
        if options.step == "do":
            return await do(
                storage, options.job, options.patient, options.reason, options.deadline_s
            )
        return await ask(storage, options.job, options.deadline_s)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
