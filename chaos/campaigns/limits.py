"""What a campaign may draw, and what it never does: TOML (docs/use/campaigns.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar, get_args

from chaos.errors import CampaignError
from chaos.faults.base import Family
from chaos.faults.registry import FAULTS
from chaos.scenarios.load import DURABILITIES
from chaos.workloads.registry import WORKLOADS
from cluster.toml.reader import TomlDocument, TomlTable, quote, read_text
from cluster.topology.settings import TTL_S_MIN, SyncMode

Word = TypeVar("Word", bound=str)
HowOften: TypeAlias = Literal["never", "sometimes", "always"]

FAMILIES: tuple[Family, ...] = get_args(Family)
HOW_OFTEN: tuple[HowOften, ...] = get_args(HowOften)
DRAWN_FAULTS = tuple(key for key, kind in FAULTS.items() if kind.draw is not None)

FAULTS_MAX = 6
"""Shrinking six faults takes some ten to forty runs; of more it takes hundreds."""
FAULTS_MAX_MAX = 20
DURATION_S_MAX = 60.0
"""Three times the shortest ttl that Patroni takes: enough for a lease to end and be taken again."""
DURATION_S_MAX_MIN, DURATION_S_MAX_MAX = 5.0, 3600.0
TTL_S_MAX = 30
"""Patroni's default."""
TTL_S_MAX_MAX = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What is drawn from, and how much at most."""

    faults_max: int = FAULTS_MAX
    """Of one run."""
    duration_s_max: float = DURATION_S_MAX
    """Of what is known beforehand: the waits for events are not in it."""
    sites_at_once_max: int | None = None
    """Sites that are struck at the same time; None: as many as there are."""
    families: tuple[Family, ...] = FAMILIES
    without: tuple[str, ...] = ()
    """Faults that are never drawn."""
    durability: tuple[SyncMode, ...] = ("quorum",)
    """With ``async`` a lost primary takes writes with it: such runs end INVALID."""
    workloads: tuple[str, ...] = tuple(WORKLOADS)
    ttl_s_max: int = TTL_S_MAX
    """No ttl that is drawn is longer."""
    witness: HowOften = "sometimes"
    """Whether witnesses stand beside etcd, where topology and durability allow some."""


def load_limits(path: Path) -> Limits:
    """The limits of a file.

    Raises:
        CampaignError: it cannot be read, or something is wrong with it; names everything that is.
    """
    document = TomlDocument(read_text(path, CampaignError.of), str(path), CampaignError.of)
    table, own = document.root, Limits()
    has_sites = table.has("sites_at_once_max")
    found = Limits(
        faults_max=_whole(table, "faults_max", 1, FAULTS_MAX_MAX, own.faults_max),
        duration_s_max=table.number(
            "duration_s_max",
            minimum=DURATION_S_MAX_MIN,
            maximum=DURATION_S_MAX_MAX,
            default=own.duration_s_max,
        ),
        sites_at_once_max=table.integer("sites_at_once_max", minimum=1) if has_sites else None,
        families=_chosen(table, "families", FAMILIES, own.families),
        without=_chosen(table, "without", DRAWN_FAULTS, own.without),
        durability=_chosen(table, "durability", DURABILITIES, own.durability),
        workloads=_chosen(table, "workloads", tuple(WORKLOADS), own.workloads),
        ttl_s_max=_whole(table, "ttl_s_max", TTL_S_MIN, TTL_S_MAX_MAX, own.ttl_s_max),
        witness=table.choice("witness", HOW_OFTEN, own.witness),
    )
    document.settle()
    return found


def to_toml(limits: Limits) -> str:
    """Limits as TOML with every key that says something; ``load_limits`` reads them back."""
    values = {field.name: getattr(limits, field.name) for field in fields(limits)}
    lines = [
        f"{name} = {_shown(value)}" for name, value in values.items() if value not in (None, ())
    ]
    return "\n".join(lines) + "\n"


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_shown(item) for item in value)}]"
    return quote(value) if isinstance(value, str) else repr(value)


def _chosen(
    table: TomlTable, key: str, allowed: Sequence[Word], default: tuple[Word, ...]
) -> tuple[Word, ...]:
    return table.choices(key, allowed) if table.has(key) else default


def _whole(table: TomlTable, key: str, minimum: int, maximum: float, default: int) -> int:
    """A whole number; of one with a fraction the whole part."""
    return int(table.number(key, minimum=minimum, maximum=maximum, default=default))
