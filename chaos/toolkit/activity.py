"""What all activities share: errors of Chaos Toolkit's own type, and checked arguments.

Arguments come from JSON, the environment or ``--var``, so their types must be checked.
"""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from chaoslib.exceptions import ActivityFailed, InterruptExecution

from chaos.errors import ChaosError
from chaos.gameday.errors import ClusterInTestsError, OptionError
from chaos.toolkit.sigterm import GRACEFUL_EXIT, sure_end
from cluster.errors import ClusterError
from replication.errors import StorageError

P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger("chaostoolkit")
"""Where Chaos Toolkit and its extensions write."""


def activity(fn: Callable[P, T]) -> Callable[P, T]:
    """A decorator: expected errors become an ``ActivityFailed`` with the same message, and SIGTERM
    ends the experiment from the first one on (``chaos.toolkit.sigterm``)."""

    @functools.wraps(fn)
    def told(*args: P.args, **kwargs: P.kwargs) -> T:
        sure_end.begin()
        try:
            return fn(*args, **kwargs)
        except (ChaosError, ClusterError, StorageError) as error:
            raise ActivityFailed(words_of(error)) from error
        except InterruptExecution as error:
            raise SystemExit(GRACEFUL_EXIT) from error

    return told


def words_of(error: Exception) -> str:
    """The message of an error. Tails of logs that come with it go to Chaos Toolkit's own log."""
    words = str(error)
    if isinstance(error, ClusterInTestsError) and error.logs:
        logger.debug(error.logs)
        words = words.removesuffix(error.logs).rstrip()
    return words


def number(name: str, value: object, *, least: float = 0.0, what: str = "a number") -> float:
    """A number that is ``least`` or more.

    Raises:
        OptionError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise OptionError(_wrong(name, value, what, "float"))
    if value < least:
        raise OptionError(f"{name}={value!r}: expected {what}, {least:g} or more")
    return float(value)


def seconds(name: str, value: object, *, least: float = 0.0) -> float:
    """A time in seconds. Raises like ``number``."""
    return number(name, value, least=least, what="seconds")


def whole_number(name: str, value: object) -> int:
    """A whole number.

    Raises:
        OptionError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise OptionError(_wrong(name, value, "a whole number", "int"))
    return value


def word(name: str, value: object) -> str:
    """A text that is not empty.

    Raises:
        OptionError: it is none.
    """
    if not isinstance(value, str) or not value:
        raise OptionError(f"{name}={value!r}: expected a text")
    return value


def _wrong(name: str, value: object, what: str, kind: str) -> str:
    words = f"{name}={value!r}: expected {what}"
    if isinstance(value, str):
        words += (
            f'; in an environment variable say so with "env_var_type": "{kind}", on the command'
            f" line with --var NAME:{kind}=VALUE"
        )
    return words
