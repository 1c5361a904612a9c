"""What is ours: everything that a drill makes in the engine carries these labels."""

from __future__ import annotations

OWNER = "org.bascule.owner"
RUN = "org.bascule.run"
KEEPER = "org.bascule.keeper"
"""The process that keeps it (``cluster.processes``)."""
DRILL = "drill"


def labels(run: str, keeper: str) -> dict[str, str]:
    """What everything of a run is labelled with."""
    return {OWNER: DRILL, RUN: run, KEEPER: keeper}


def label_options(run: str, keeper: str) -> list[str]:
    """The same as options of ``docker run`` and its like."""
    return [f"--label={name}={value}" for name, value in labels(run, keeper).items()]
