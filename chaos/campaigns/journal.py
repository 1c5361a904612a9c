"""``campaign.jsonl``: what a campaign has done, a line a step. The one module for its format.

The file is only ever appended to, and each line is on the disk before the next step begins. So a
campaign that was killed is gone on with from there. A last line that a kill cut short is no line:
its step is done again.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from chaos.checkers.lost import LOST_WRITE
from chaos.decode import decode, encode
from chaos.errors import CampaignError, FormatError
from chaos.findings import Verdict
from cluster.topology.settings import SyncMode

JOURNAL = "campaign.jsonl"
JUDGED = "judged"
"""The part of a run after the last phase of its drill (``RunDone.parts_s``)."""
TryPurpose = Literal["replay", "shrink"]
FORMAT_VERSION = 1
"""Raised when an older reader could no longer follow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignBegan:
    """What the campaign was asked to be; the first line."""

    format_version: int
    generator: int
    """The version of what draws (``draw.GENERATOR``)."""
    seed: int
    topologies: tuple[str, ...]
    """Their names; each is in ``topologies/NAME.toml``."""
    rate_per_s: float | None
    """Operations of the ledger a second and site, others in proportion; None: their defaults."""
    has_disks: bool
    """The machine can have disks that break."""
    runs: int | None
    """How many runs it was asked for; None: as many as fit into ``minutes``."""
    minutes: float | None
    started_at: str
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class StruckTarget:
    """A fault of a schedule, and whom it is to strike."""

    fault: str
    target: str

    def __str__(self) -> str:
        return f"{self.fault} on {self.target}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDone:
    """One run, drawn or a canary, and how it ended."""

    n: int
    is_canary: bool
    folder: str
    """Of the run, in that of the campaign."""
    schedule: str
    """The scenario as TOML, likewise."""
    topology: str
    ttl_s: int
    witness: bool
    durability: SyncMode
    workload: str
    seed: int
    faults: tuple[StruckTarget, ...]
    verdict: str
    """``valid``, ``unknown`` or ``invalid``."""
    findings: tuple[str, ...]
    """Kinds of findings with that verdict, each once."""
    sentence: str
    acknowledged: int
    lost: int | None
    split_brain: bool | None
    rto_s: float | None
    outages_s: Mapping[str, float | None]
    """By site."""
    attempts: int
    """Two, where the first one was UNKNOWN because of the machine alone, and was put aside."""
    started_at: str
    took_s: float
    """Of all attempts, from before the boot to the written reports."""
    cost_s: float | None
    """Of that, what is neither fault nor load: the boot, the final read, the judgement. None: the
    run broke off."""
    labs: int = 1
    """So many labs shared the machine."""
    parts_s: Mapping[str, float] = field(default_factory=dict)
    """Of the last attempt, by phase of its drill, and ``JUDGED`` after it. ``boot`` is the wait for
    a lab. Without the load (``steady``, ``fault``, ``recovery``) they make up ``cost_s``. Empty: of
    an older version."""
    had_lab: bool = False
    """It had the lab of the run before."""
    lab_ended: str = ""
    """Why its lab could not be kept for the next run; empty: it was, or was not to be."""

    @property
    def is_invalid(self) -> bool:
        """Something that must hold did not."""
        return self.verdict == Verdict.INVALID.word


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One run that looks into a failing one: a replay, or a candidate of its shrinking."""

    n: int
    """Of the run that failed."""
    purpose: TryPurpose
    number: int
    """Of those with that purpose, from 1."""
    folder: str
    failed: bool
    """It had one of the findings of the run that failed."""
    took_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed:
    """A failing run was replayed."""

    n: int
    """Of the run that failed."""
    findings: tuple[str, ...]
    """Those of the run."""
    folders: tuple[str, ...]
    """Of the replays."""
    failed: int
    """How many replays had one of these findings again."""
    of: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shrunk:
    """A failing run was made as small as could be."""

    n: int
    schedule: str
    """The smallest scenario that failed, as TOML."""
    folder: str
    """Of a run with it that failed: its evidence."""
    faults: tuple[StruckTarget, ...]
    failed: int
    """Of the runs with the smallest scenario."""
    of: int
    runs: int
    """How many the shrinking took."""


MUST_FIND = LOST_WRITE.word
"""What each canary must be found guilty of."""


def was_found_out(canary: RunDone) -> bool:
    """Whether a canary was found guilty of what it does."""
    return canary.is_invalid and MUST_FIND in canary.findings


Step: TypeAlias = CampaignBegan | RunDone | Tried | Confirmed | Shrunk

_TYPES: Mapping[str, type[Step]] = {
    "campaign": CampaignBegan,
    "run": RunDone,
    "tried": Tried,
    "confirmed": Confirmed,
    "shrunk": Shrunk,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignJournal:
    """Everything that stands in the file."""

    folder: Path
    began: CampaignBegan
    runs: tuple[RunDone, ...] = ()
    tried: tuple[Tried, ...] = ()
    confirmed: Mapping[int, Confirmed] = field(default_factory=dict)
    """By the run."""
    shrunk: Mapping[int, Shrunk] = field(default_factory=dict)

    @property
    def drawn(self) -> tuple[RunDone, ...]:
        """The runs without the canaries."""
        return tuple(run for run in self.runs if not run.is_canary)

    @property
    def canaries(self) -> tuple[RunDone, ...]:
        """The runs that must end INVALID."""
        return tuple(run for run in self.runs if run.is_canary)

    @property
    def took_s(self) -> float:
        """Of all steps together."""
        return sum(run.took_s for run in self.runs) + sum(one.took_s for one in self.tried)

    @property
    def verdict(self) -> Verdict:
        """INVALID where a drawn run is. UNKNOWN where one is, or a canary was not found out, or
        there was none: then nothing proves that losses would have been seen."""
        if any(run.is_invalid for run in self.drawn):
            return Verdict.INVALID
        seen = bool(self.canaries) and all(was_found_out(run) for run in self.canaries)
        all_valid = all(run.verdict == Verdict.VALID.word for run in self.drawn)
        return Verdict.VALID if seen and all_valid and self.drawn else Verdict.UNKNOWN


def append(folder: Path, step: Step) -> None:
    """Write one line more; it is on the disk when this returns.

    Raises:
        OSError: it cannot be written.
    """
    kind = next(name for name, type_ in _TYPES.items() if isinstance(step, type_))
    encoded = encode(step)
    assert isinstance(encoded, dict)  # a dataclass always encodes as one
    line = json.dumps({"type": kind, **encoded}, ensure_ascii=False).encode() + b"\n"
    with (folder / JOURNAL).open("a+b") as file:
        _cut_last(file.fileno())
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Only one process at a time carries a campaign on.

    Raises:
        CampaignError: another one does.
    """
    with (folder / JOURNAL).open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CampaignError(f"{folder}: another process carries this campaign on") from error
        yield


def _cut_last(descriptor: int) -> None:
    """Take away what stands after the last whole line."""
    size = os.fstat(descriptor).st_size
    text = os.pread(descriptor, size, 0)
    os.ftruncate(descriptor, text.rfind(b"\n") + 1)


def read_journal(folder: Path) -> CampaignJournal:
    """The journal of a campaign folder.

    Raises:
        CampaignError: it is no campaign folder, or a line cannot be understood; names the line.
    """
    path = folder / JOURNAL
    steps = list(_steps(path))
    if not steps or not isinstance(steps[0], CampaignBegan):
        raise CampaignError(f"{path}: no campaign has begun here; begin one without --resume")
    return CampaignJournal(
        folder=folder,
        began=steps[0],
        runs=tuple(step for step in steps if isinstance(step, RunDone)),
        tried=tuple(step for step in steps if isinstance(step, Tried)),
        confirmed={step.n: step for step in steps if isinstance(step, Confirmed)},
        shrunk={step.n: step for step in steps if isinstance(step, Shrunk)},
    )


def _steps(path: Path) -> Iterator[Step]:
    try:
        text = path.read_bytes()
    except FileNotFoundError as error:
        words = f"{path.parent} is no campaign folder: there is no {JOURNAL} in it"
        raise CampaignError(words) from error
    except OSError as error:
        raise CampaignError(f"{path}: {error.strerror or error}") from error
    *lines, _ = text.split(b"\n")  # after the last line end: nothing, or half a line
    for number, line in enumerate(lines, start=1):
        try:
            yield _step(json.loads(line))
        except (ValueError, FormatError) as error:
            raise CampaignError(f"{path}: line {number}: {error}") from error


def _step(value: object) -> Step:
    if not isinstance(value, dict) or value.get("type") not in _TYPES:
        raise FormatError("type", f"expected one of {', '.join(_TYPES)}")
    found: Step = decode(
        _TYPES[value["type"]], {key: item for key, item in value.items() if key != "type"}
    )
    if isinstance(found, CampaignBegan) and found.format_version != FORMAT_VERSION:
        words = f"this Bascule reads {FORMAT_VERSION}, found {found.format_version}"
        raise FormatError("format_version", words)
    return found
