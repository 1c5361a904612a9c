"""Errors of ``chaos``: one root, fields beside the text."""

from __future__ import annotations

from pathlib import Path

from cluster.errors import Problem, describe


class ChaosError(Exception):
    """Root of everything that ``chaos`` raises on purpose."""


class RunFolderError(ChaosError):
    """A run folder cannot be used.

    Attributes:
        folder: The folder that was asked for.
    """

    def __init__(self, message: str, *, folder: Path) -> None:
        super().__init__(message)
        self.folder = folder


class NotARunFolderError(RunFolderError):
    """What was given is no run folder: it is not there, or it has no ``run.json``."""


class DamagedRunError(RunFolderError):
    """``run.json`` cannot be understood, so the folder cannot be read.

    Attributes:
        file: The file, as a name inside the folder.
        key: Where in the file (``scenario.faults[0].at_s``); empty for the whole file.
    """

    def __init__(self, message: str, *, folder: Path, file: str, key: str) -> None:
        where = f"{folder / file}: {key}" if key else f"{folder / file}"
        super().__init__(f"{where}: {message}", folder=folder)
        self.file = file
        self.key = key


class FormatError(ChaosError):
    """A value does not have the form of its type.

    Attributes:
        key: Where in the value (``faults[0].at_s``); empty for the value itself.
        reason: What is wrong there.
    """

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{key}: {reason}" if key else reason)
        self.key = key
        self.reason = reason


class ListenError(ChaosError):
    """The address for the metrics cannot be listened on."""


class AbilityError(ChaosError):
    """The substrate cannot do what a fault needs."""


class ScheduleError(ChaosError):
    """A fault of the schedule has no host to strike."""


class PreflightError(ChaosError):
    """The cluster is not fit for a drill: the message says what it lacks."""


class OutputError(ChaosError):
    """The run folder cannot be made where it was asked for."""


class ScenarioError(ChaosError):
    """A scenario cannot be used.

    Attributes:
        source: The file, or the name under which it was asked for.
        problems: Everything that is wrong with it, at least one.
    """

    def __init__(self, source: str, problems: tuple[Problem, ...]) -> None:
        super().__init__(describe(source, problems))
        self.source = source
        self.problems = problems


class CampaignError(ChaosError):
    """A campaign cannot be run, or gone on with: the message names file, key and remedy."""

    @classmethod
    def of(cls, source: str, problems: tuple[Problem, ...]) -> CampaignError:
        """Everything that is wrong with a file."""
        return cls(describe(source, problems))


def leaves(error: BaseException) -> list[BaseException]:
    """The error itself, or those of a group, however deep they are nested."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in leaves(inner)]
    return [error]
