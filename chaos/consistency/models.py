"""What a history can be judged as: the list. One model is one entry and the function that loads it.

A model's code is imported when it is asked for, and not before: it needs numpy, and the command
must start without (``docs/decisions/0023-consistency.md``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from chaos.consistency.answer import Answer

Judge = Callable[[Path, str], Answer]
"""Reads a file and judges it at a level of its model.

Raises:
    HistoryFileError: the file is no history of this model.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryModel:
    """One kind of history."""

    name: str
    """What ``--as`` takes."""
    about: str
    """One sentence: which operations it knows, and in which formats it is read."""
    levels: tuple[str, ...]
    """What ``--level`` takes, weakest first."""
    default_level: str
    load: Callable[[], Judge]


_ALL: tuple[HistoryModel, ...] = ()
"""One entry a model."""

MODELS: Mapping[str, HistoryModel] = {model.name: model for model in _ALL}
