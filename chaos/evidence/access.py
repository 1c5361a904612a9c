"""``access.jsonl`` (docs/reference/run-folder.md): who was let in to what; written and read here.

Four kinds of lines: an ``answer`` to a probe, the ``print`` of a node's rights and doors, a
``withdrawal``, and the ``trail`` that a node's logs have of the accesses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar, get_args

from chaos.evidence.fields import Fields, LineFile, given, missing_lines, read_lines

ACCESS = "access.jsonl"

Moment = Literal["before", "meanwhile", "withdrawn", "promoted", "rejoined"]
"""When it was asked: in the steady state; again and again while the faults last and heal; right
after the last withdrawal; just before the heal, when whoever takes over has done so; at the end,
with every fault healed and the cluster whole."""

ROUNDS: tuple[Moment, ...] = ("before", "promoted", "rejoined")
"""The moments at which every node is asked everything, and its fingerprint is taken."""

AskedOutcome = Literal["rows", "refused", "error", "unanswered"]
"""It was answered with rows, perhaps none; refused for want of a right; answered with another
error; or not answered (the node cannot be reached, is starting, or cancelled the question)."""

_MOMENTS: tuple[Moment, ...] = get_args(Moment)
_OUTCOMES: tuple[AskedOutcome, ...] = get_args(AskedOutcome)

Word = TypeVar("Word", bound=str)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeAnswer:
    """One probe, asked of one node."""

    id: str
    """Of this access; it stands in a comment of the statement, and so in the node's log."""
    probe: str
    role: str
    node: str
    moment: Moment
    begin_s: float
    end_s: float
    outcome: AskedOutcome
    rows: int | None = None
    digest: str | None = None
    """Of the rows, whatever their order: the same rows have the same digest."""
    sqlstate: str | None = None
    words: str | None = None
    logged_in: bool = True
    """Statements were run; else it ended at the door."""

    @property
    def is_access(self) -> bool:
        """Somebody was let in, and was shown rows or refused a right: the log must say so."""
        return self.logged_in and self.outcome in {"rows", "refused"}

    @property
    def admits(self) -> bool:
        """It shows rows."""
        return self.outcome == "rows" and bool(self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePrint:
    """The rights that a node knows, and its doors: by item its value, as texts."""

    node: str
    moment: Moment
    t_s: float
    is_primary: bool = False
    caught_up: bool = False
    """It had replayed all that the primary had written just before; a primary always has."""
    rights: Mapping[str, str] = field(default_factory=dict)
    """Replicated: roles, memberships, grants, owners, policies, options of views, functions."""
    doors: Mapping[str, str] = field(default_factory=dict)
    """Each node's own: rules of ``pg_hba.conf``, user maps, ``ALTER SYSTEM``, settings of logs."""
    error: str | None = None
    """Why there is none; what it would say is then not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn:
    """A right was taken away, or could not be."""

    probe: str
    sql: str
    begin_s: float
    end_s: float
    node: str | None = None
    """The primary that acknowledged it."""
    error: str | None = None

    @property
    def is_acknowledged(self) -> bool:
        """The server said that it is done."""
        return self.error is None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeTrail:
    """What the logs of a node say of the accesses at the end."""

    node: str
    directory: str | None = None
    """Its ``log_directory``."""
    entries: Mapping[str, str] = field(default_factory=dict)
    """By the id of an access, the user that the log names."""
    values: Mapping[str, str] = field(default_factory=dict)
    """By sealed value, how many lines of the log have it; only those that some line has."""
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessEvidence:
    """The whole file, each kind in file order."""

    answers: tuple[ProbeAnswer, ...] = ()
    prints: tuple[NodePrint, ...] = ()
    withdrawn: tuple[Withdrawn, ...] = ()
    trails: tuple[NodeTrail, ...] = ()
    complete: bool = False
    """The last line says so."""


class AccessFile(LineFile):
    """Appends what was asked and found, as it ends."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / ACCESS)

    def answer(self, one: ProbeAnswer) -> None:
        """A probe was asked."""
        said = {
            "rows": one.rows,
            "digest": one.digest,
            "sqlstate": one.sqlstate,
            "words": one.words,
        }
        line: dict[str, object] = {"type": "answer", "id": one.id, "probe": one.probe}
        line |= {"role": one.role, "node": one.node, "moment": one.moment}
        line |= {"begin_s": one.begin_s, "t_s": one.end_s, "outcome": one.outcome}
        line |= {"logged_in": one.logged_in}
        self.append(line | given(said))

    def fingerprint(self, one: NodePrint) -> None:
        """The rights and doors of a node."""
        line: dict[str, object] = {"type": "print", "node": one.node, "moment": one.moment}
        line["t_s"] = one.t_s
        if one.error is not None:
            self.append({**line, "error": one.error})
            return
        line |= {"is_primary": one.is_primary, "caught_up": one.caught_up}
        self.append({**line, "rights": one.rights, "doors": one.doors})

    def withdrawal(self, one: Withdrawn) -> None:
        """A right was taken away, or could not be."""
        line: dict[str, object] = {"type": "withdrawal", "probe": one.probe, "sql": one.sql}
        line |= {"begin_s": one.begin_s, "t_s": one.end_s}
        self.append(line | given({"node": one.node, "error": one.error}))

    def trail(self, one: NodeTrail) -> None:
        """What the logs of a node have."""
        line: dict[str, object] = {"type": "trail", "node": one.node}
        line |= given({"directory": one.directory, "error": one.error})
        found = {"entries": one.entries, "values": one.values}
        self.append(line if one.error is not None else {**line, **found})

    def close(self, t_s: float) -> None:
        """All was asked that was to be asked."""
        self.append({"type": "end", "t_s": t_s})


def read_access_evidence(folder: Path, damage: list[str]) -> AccessEvidence:
    """What stands in the file of a run folder; nothing where it has none.

    Lines that make no sense are left out and added to ``damage``.
    """
    path = folder / ACCESS
    if not path.exists():
        return AccessEvidence()
    answers: list[ProbeAnswer] = []
    prints: list[NodePrint] = []
    withdrawn: list[Withdrawn] = []
    trails: list[NodeTrail] = []
    numbers: list[int | None] = []
    complete = False
    for number, line in read_lines(path, damage):
        try:
            fields = Fields(line)
            numbers.append(fields.integer_or_none("seq"))
            if complete:
                damage.append(f"{path.name}: line {number} stands behind the end")
            match line.get("type"):
                case "answer":
                    answers.append(_answer(fields))
                case "print":
                    prints.append(_print(fields))
                case "withdrawal":
                    withdrawn.append(_withdrawn(fields))
                case "trail":
                    trails.append(_trail(fields))
                case "end":
                    complete = True
                case _:
                    damage.append(f"{path.name}: line {number} has an unknown type")
        except ValueError as error:
            damage.append(f"{path.name}: line {number}: {error}")
    damage += [f"{path.name}: {what}" for what in missing_lines(numbers, "line")]
    return AccessEvidence(
        answers=tuple(answers),
        prints=tuple(prints),
        withdrawn=tuple(withdrawn),
        trails=tuple(trails),
        complete=complete,
    )


def _answer(fields: Fields) -> ProbeAnswer:
    return ProbeAnswer(
        id=fields.text("id"),
        probe=fields.text("probe"),
        role=fields.text("role"),
        node=fields.text("node"),
        moment=_word(fields, "moment", _MOMENTS),
        begin_s=fields.number("begin_s"),
        end_s=fields.number("t_s"),
        outcome=_word(fields, "outcome", _OUTCOMES),
        rows=fields.integer_or_none("rows"),
        digest=fields.text_or_none("digest"),
        sqlstate=fields.text_or_none("sqlstate"),
        words=fields.text_or_none("words"),
        logged_in=fields.boolean("logged_in"),
    )


def _print(fields: Fields) -> NodePrint:
    error = fields.text_or_none("error")
    return NodePrint(
        node=fields.text("node"),
        moment=_word(fields, "moment", _MOMENTS),
        t_s=fields.number("t_s"),
        is_primary=fields.flag("is_primary"),
        caught_up=fields.flag("caught_up"),
        rights=_texts(fields, "rights"),
        doors=_texts(fields, "doors"),
        error=error,
    )


def _withdrawn(fields: Fields) -> Withdrawn:
    return Withdrawn(
        probe=fields.text("probe"),
        sql=fields.text("sql"),
        begin_s=fields.number("begin_s"),
        end_s=fields.number("t_s"),
        node=fields.text_or_none("node"),
        error=fields.text_or_none("error"),
    )


def _trail(fields: Fields) -> NodeTrail:
    return NodeTrail(
        node=fields.text("node"),
        directory=fields.text_or_none("directory"),
        entries=_texts(fields, "entries"),
        values=_texts(fields, "values"),
        error=fields.text_or_none("error"),
    )


def _word(fields: Fields, name: str, words: tuple[Word, ...]) -> Word:
    """A text that is one of ``words``."""
    found = fields.text(name)
    for word in words:
        if word == found:
            return word
    raise ValueError(f"{name} is {found}")


def _texts(fields: Fields, name: str) -> Mapping[str, str]:
    """An object whose values are all texts; empty where it is absent."""
    return {key: _text(f"{name}.{key}", value) for key, value in fields.scalars(name).items()}


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name} is no text")  # noqa: TRY004 - damage of a line, no bug
    return value
