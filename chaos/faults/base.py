"""What a fault is, and what it may touch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeVar, cast

from chaos.errors import AbilityError
from cluster.cluster import PatroniCluster
from cluster.substrate import ABILITIES

Ability = TypeVar("Ability")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The raised cluster that a fault strikes."""

    cluster: PatroniCluster

    def able(self, ability: type[Ability]) -> Ability:
        """The substrate, as one that has ``ability``.

        Raises:
            AbilityError: it has not; ``missing_abilities`` says so before a drill starts.
        """
        substrate = self.cluster.substrate
        if not isinstance(substrate, ability):
            names = [name for name, kind in ABILITIES.items() if kind is ability]
            raise AbilityError(f"{type(substrate).__name__} cannot {', '.join(names)}")
        return cast(Ability, substrate)


class Fault(Protocol):
    """One kind of fault. An instance is one stroke at one host; it knows how to undo itself."""

    needs: ClassVar[tuple[str, ...]]
    """Keys of ``cluster.substrate.ABILITIES``."""
    lasts: ClassVar[bool]
    """It stays until it is healed; else it is over once it has struck."""

    def __init__(self, *, host: str, process: str | None) -> None: ...

    async def inject(self, stage: Stage) -> str:
        """Strike; returns in words what was done. It has bitten when this returns."""
        ...

    async def heal(self, stage: Stage) -> str:
        """Undo it; returns in words what was done."""
        ...
