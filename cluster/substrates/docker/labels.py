"""What is ours: everything that this project makes in the engine carries these labels."""

from __future__ import annotations

OWNER = "org.bascule.owner"
RUN = "org.bascule.run"
"""The drill, or the cluster for tests."""
KEEPER = "org.bascule.keeper"
"""The process that keeps it (``cluster.processes``)."""
NOBODY = ""
"""In place of the keeper: it stays, to be used again."""
DRILL, TESTING = "drill", "testing"


def labels(run: str, keeper: str, owner: str = DRILL) -> dict[str, str]:
    """What everything of a run is labelled with."""
    return {OWNER: owner, RUN: run, KEEPER: keeper}


def label_options(run: str, keeper: str) -> list[str]:
    """The labels as options of ``docker run`` and similar commands."""
    return [f"--label={name}={value}" for name, value in labels(run, keeper).items()]
