"""The substrates that there are: one line each."""

from __future__ import annotations

from collections.abc import Mapping

from cluster.substrates.docker.kind import COMPOSE
from cluster.substrates.kind import SubstrateKind
from cluster.substrates.lab.kind import LAB

SUBSTRATES: Mapping[str, SubstrateKind] = {
    kind.key: kind
    for kind in (
        LAB,
        COMPOSE,
    )
}
"""By their keys; the first is the default."""
DEFAULT = next(iter(SUBSTRATES))
