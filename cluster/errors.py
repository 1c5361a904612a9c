"""What can go wrong in ``cluster``: one root, and fields beside the text."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is wrong, and where."""

    key: str
    """The path of the key, as ``site[1].host[0].roles`` (counted from 0); empty for the whole."""
    words: str
    """What was expected and what was found."""

    def __str__(self) -> str:
        return f"{self.key}: {self.words}" if self.key else self.words


def describe(source: str, problems: Sequence[Problem]) -> str:
    """The text for people: one line for one problem, else a heading and a line for each."""
    if len(problems) == 1:
        return f"{source}: {problems[0]}"
    return "\n".join([f"{source}: {len(problems)} problems", *(f"  {p}" for p in problems)])


class ClusterError(Exception):
    """The root: this package raises only this and its subclasses on purpose.

    Args:
        message: for people.
        node: the node it is about, when there is one.
        host: the host it is about, when there is one.
    """

    def __init__(self, message: str, *, node: str | None = None, host: str | None = None) -> None:
        super().__init__(message)
        self.node = node
        self.host = host


class PrerequisiteError(ClusterError):
    """This machine lacks something; the message has the remedy."""


class BackupError(ClusterError):
    """A backup could not be taken, is not what its manifest says, or is not there."""


class LabError(ClusterError):
    """A command that builds or breaks the lab failed."""


class EngineError(ClusterError):
    """The container engine refused, or did not answer; the message has its words."""


class LeftoverError(EngineError):
    """The engine did not remove all of a drill that is over; the message says what is left.

    Args:
        message: for people.
        code: the exit code with which the drill ended.
        stopped_by: the signal that asked for its end, or None.
    """

    def __init__(self, message: str, *, code: int, stopped_by: signal.Signals | None) -> None:
        super().__init__(message)
        self.code = code
        self.stopped_by = stopped_by


class HostError(ClusterError):
    """A host did not do what it was asked."""


class BootError(ClusterError):
    """The cluster did not come up."""


class PatroniError(ClusterError):
    """Patroni refused, or answered what it should not."""


class TopologyError(ClusterError):
    """A topology cannot be used.

    Args:
        source: the file, or the name under which it was asked for.
        problems: everything that is wrong with it, at least one.
    """

    def __init__(self, source: str, problems: tuple[Problem, ...]) -> None:
        super().__init__(describe(source, problems))
        self.source = source
        self.problems = problems
