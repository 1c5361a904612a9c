"""A call on a shared object: what was asked, what was answered, and when.

What every reader of registers, locks and texts makes of a file, whatever its format. A call that
did not happen (``fail``), and a read that says nothing, are not here any more: whether a failed
compare-and-set says something is for the reader of the format to decide.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from chaos.consistency.errors import place_of
from chaos.evidence.records import Scalar

READ = "read"
WRITE = "write"
CAS = "cas"
"""Compare and set: the value is the pair (expected, new)."""
CAS_MISSED = "cas-missed"
"""A compare-and-set that found something else than it expected."""
ACQUIRE = "acquire"
RELEASE = "release"
APPEND = "append"
TXN = "txn"
"""Several reads and writes at once: the value is a tuple of (f, key, value)."""

SHOWN_MAX = 60
"""Characters of a value in a sentence: more hides the sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call on one object."""

    f: str
    """What was asked: one of the words of this module."""
    value: Hashable = None
    """What was written, or what was read; None is the empty register."""
    key: Hashable = None
    """Which object; None where there is only one."""
    began: int
    """The position of its beginning in the history. Positions are unique: they are the clock."""
    ended: int | None = None
    """The position of its end; None: it may have happened at any time after it began, or never."""
    process: int | None = None
    """Who asked."""
    version: int | None = None
    """The version of the row that it wrote or saw, where the object counts its versions."""
    line: int = 0
    """Where its beginning stands in the file, from 1: for messages; 0 where that is not known."""
    end_line: int = 0
    """Where its end stands."""
    name: str = ""
    """What it is called where it stands in no file: the operation of a run, and its node."""

    @property
    def is_open(self) -> bool:
        """Whether nobody knows if it happened."""
        return self.ended is None

    @property
    def only_looks(self) -> bool:
        """Whether it never changes the object, whatever state that is in."""
        if self.f == TXN and isinstance(self.value, tuple):
            return all(f == READ for f, _, _ in self.value)
        return self.f in {READ, CAS_MISSED}

    @property
    def is_blind(self) -> bool:
        """Whether the state after it does not depend on the one before."""
        return self.f == WRITE

    @property
    def words(self) -> str:
        """What was asked and answered, in a few words."""
        match self.f, self.value:
            case (("cas" | "cas-missed"), (expected, new)):
                missed = " that missed" if self.f == CAS_MISSED else ""
                return f"compare-and-set from {shown(expected)} to {shown(new)}{missed}"
            case (("read" | "write" | "append"), value):
                return f"{self.f} of {shown(value)}"
            case "txn", tuple(parts):
                return ", ".join(f"{f} of {shown(v)} in {shown(k)}" for f, k, v in parts)
        return self.f

    @property
    def where(self) -> str:
        """Where it stands: ``line 4, to 7``; ``event 4, open`` where lines are not known."""
        if self.name:
            return self.name
        begin = place_of(self.line) if self.line else f"event {self.began + 1:,}"
        if self.ended is None:
            return f"{begin}, open"
        return f"{begin}, to {self.end_line or self.ended + 1:,}"

    def __str__(self) -> str:
        """For a sentence: what, who, and where it stands."""
        who = "" if self.process is None else f" by process {self.process}"
        return f"the {self.words}{who} ({self.where})"

    def evidence(self, **more: Scalar) -> Mapping[str, Scalar]:
        """Where it stands, and what it is, for a finding."""
        key: dict[str, Scalar] = {} if self.key is None else {"key": shown(self.key)}
        who: dict[str, Scalar] = {} if self.process is None else {"process": self.process}
        return {**key, "call": self.words, **who, "where": self.where, **more}


def shown(value: object) -> str:
    """A value of a history as people write it: ``nil`` for none, texts in quotes, cut when long."""
    if value is None:
        return "nil"
    text = str(value) if isinstance(value, Decimal) else repr(value)
    return text if len(text) <= SHOWN_MAX else f"{text[: SHOWN_MAX // 2]}…{text[-SHOWN_MAX // 2 :]}"


def capital(sentence: str) -> str:
    """A sentence that begins with a call, with a capital letter."""
    return sentence[:1].upper() + sentence[1:]
