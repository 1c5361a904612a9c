"""``reads-<site>.jsonl`` (docs/reference/run-folder.md): what a site read, written and read here.

Every load counts a **mark** up, one a site, in a table of its own, and reads all marks in several
ways. What a read had to see follows from the marks that were acknowledged before it, whatever the
workload writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar, get_args

from chaos.evidence.fields import Fields, LineFile, given, missing_lines, read_lines
from replication.wire.wal import format_lsn, parse_lsn

ReadKind = Literal["primary", "own-write", "bounded", "any"]
"""How the marks are read: on the primary; on any server that has the site's own last acknowledged
mark (a token); on any that lacks nothing older than a bound; on any, however old its data is.
"""

READ_KINDS: tuple[ReadKind, ...] = get_args(ReadKind)

ReadOutcome = Literal["ok", "fail", "lost"]
"""It was answered; it was not in time; or it was told that a failover took away the write of its
token."""

MarkOutcome = Literal["ok", "fail", "info"]
"""As of any operation: acknowledged, not applied, in doubt."""

_READ_OUTCOMES: tuple[ReadOutcome, ...] = get_args(ReadOutcome)
_MARK_OUTCOMES: tuple[MarkOutcome, ...] = get_args(MarkOutcome)

Word = TypeVar("Word", bound=str)


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkWrite:
    """A site set its mark to ``n``, which is one more than it tried before. Moments are those of
    the call and of its end."""

    site: str
    n: int
    begin_s: float
    end_s: float
    outcome: MarkOutcome
    node: str | None = None
    timeline: int | None = None
    lsn: int | None = None
    """WAL position, in bytes, read inside the transaction: a lower bound of its commit record."""
    attempt_s: float | None = None
    """When the attempt that committed began."""
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkRead:
    """A site read the marks of all sites."""

    site: str
    kind: ReadKind
    begin_s: float
    end_s: float
    outcome: ReadOutcome
    node: str | None = None
    source: str | None = None
    """``primary`` or ``replica``, as the storage layer said."""
    seen: Mapping[str, int] = field(default_factory=dict)
    """By site, its mark; a site that is not in it had none."""
    after: int | None = None
    """The site's own mark that was asked for; None: none was."""
    bound_s: float | None = None
    """How old the answer may be, as asked; None: nothing was said."""
    age_s: float | None = None
    """How old it may be, as the storage layer answered."""
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteReads:
    """What one site's load process wrote of its marks and reads, in file order."""

    site: str
    marks: tuple[MarkWrite, ...]
    reads: tuple[MarkRead, ...]
    complete: bool = True
    """The process closed the file in good order (its last line says so)."""


class ReadsFile(LineFile):
    """Appends what was read, and what was marked, as it ends."""

    def mark(self, mark: MarkWrite) -> None:
        """A mark was set, or was not."""
        line: dict[str, object] = {"type": "mark", "n": mark.n}
        line |= {"begin_s": mark.begin_s, "t_s": mark.end_s, "outcome": mark.outcome}
        said = {
            "attempt_s": mark.attempt_s,
            "node": mark.node,
            "timeline": mark.timeline,
            "lsn": None if mark.lsn is None else format_lsn(mark.lsn),
            "error": mark.error,
        }
        self.append(line | given(said))

    def read(self, read: MarkRead) -> None:
        """The marks were read, or could not be."""
        line: dict[str, object] = {"type": "read", "kind": read.kind}
        line |= {"begin_s": read.begin_s, "t_s": read.end_s, "outcome": read.outcome}
        said = {
            "after": read.after,
            "bound_s": read.bound_s,
            "node": read.node,
            "source": read.source,
            "age_s": read.age_s,
            "error": read.error,
        }
        line |= given(said)
        self.append({**line, "seen": read.seen} if read.outcome == "ok" else line)

    def close(self, t_s: float) -> None:
        """The load was stopped, and nothing is missing."""
        self.append({"type": "end", "t_s": t_s})


def reads_path(folder: Path, site: str) -> Path:
    """Where the reads of a site are."""
    return folder / f"reads-{site}.jsonl"


def read_all_reads(folder: Path, damage: list[str]) -> tuple[SiteReads, ...]:
    """The reads of every site of a run folder, in the order of the sites' names."""
    paths = sorted(folder.glob("reads-*.jsonl"))
    return tuple(read_reads(path, path.stem.removeprefix("reads-"), damage) for path in paths)


def read_reads(path: Path, site: str, damage: list[str]) -> SiteReads:
    """The reads of one site. Lines that make no sense are left out and added to ``damage``."""
    marks: list[MarkWrite] = []
    reads: list[MarkRead] = []
    numbers: list[int | None] = []
    complete = False
    for number, line in read_lines(path, damage):
        try:
            fields = Fields(line)
            numbers.append(fields.integer_or_none("seq"))
            if complete:
                damage.append(f"{path.name}: line {number} stands behind the end")
            match line.get("type"):
                case "mark":
                    marks.append(_mark(site, fields))
                case "read":
                    reads.append(_read(site, fields))
                case "end":
                    complete = True
                case _:
                    damage.append(f"{path.name}: line {number} has an unknown type")
        except ValueError as error:
            damage.append(f"{path.name}: line {number}: {error}")
    damage += [f"{path.name}: {what}" for what in missing_lines(numbers, "line")]
    return SiteReads(site=site, marks=tuple(marks), reads=tuple(reads), complete=complete)


def _mark(site: str, fields: Fields) -> MarkWrite:
    lsn = fields.text_or_none("lsn")
    return MarkWrite(
        site=site,
        n=fields.integer("n"),
        begin_s=fields.number("begin_s"),
        end_s=fields.number("t_s"),
        outcome=_word(fields, "outcome", _MARK_OUTCOMES),
        node=fields.text_or_none("node"),
        timeline=fields.integer_or_none("timeline"),
        lsn=None if lsn is None else parse_lsn(lsn),
        attempt_s=fields.number_or_none("attempt_s"),
        error=fields.text_or_none("error"),
    )


def _read(site: str, fields: Fields) -> MarkRead:
    return MarkRead(
        site=site,
        kind=_word(fields, "kind", READ_KINDS),
        begin_s=fields.number("begin_s"),
        end_s=fields.number("t_s"),
        outcome=_word(fields, "outcome", _READ_OUTCOMES),
        node=fields.text_or_none("node"),
        source=fields.text_or_none("source"),
        seen=_seen(fields.scalars("seen")),
        after=fields.integer_or_none("after"),
        bound_s=fields.number_or_none("bound_s"),
        age_s=fields.number_or_none("age_s"),
        error=fields.text_or_none("error"),
    )


def _word(fields: Fields, name: str, words: tuple[Word, ...]) -> Word:
    """A text that is one of ``words``."""
    found = fields.text(name)
    for word in words:
        if word == found:
            return word
    raise ValueError(f"{name} is {found}")


def _seen(values: Mapping[str, object]) -> Mapping[str, int]:
    for site, value in values.items():
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError(f"seen.{site} is no integer")  # noqa: TRY004 - damage, no bug
    return {site: value for site, value in values.items() if isinstance(value, int)}
