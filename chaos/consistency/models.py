"""What a history can be judged as: the list. One model is one entry and the function that loads it.

A model's code is imported when it is asked for, and not before: it needs numpy, and the command
must start without (``docs/decisions/0023-consistency.md``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from chaos.consistency import bank, comments, counter, long_fork, sets
from chaos.consistency.answer import HistoryAnswer
from chaos.consistency.foreign import judging
from chaos.consistency.levels import DEFAULT_LEVEL, LEVELS, level_named
from chaos.consistency.registers import LINEARIZABLE

Judge = Callable[[Path, str], HistoryAnswer]
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
    is_proved_by_an_order: bool = True
    """VALID comes with an order of all operations; else with a comparison of what was read."""

    def find_level(self, name: str) -> str | None:
        """The level that a name or an alias means; None: none of this model."""
        plain = level_named(name)
        return plain if plain in self.levels else None


def _list_append() -> Judge:
    from chaos.consistency.append.files import judge_file  # noqa: PLC0415

    return judge_file


def _rw_register() -> Judge:
    from chaos.consistency.rw_register.files import judge_file  # noqa: PLC0415

    return judge_file


_KNOSSOS = "EDN or JSON by Knossos' conventions"

_ALL: tuple[HistoryModel, ...] = (
    HistoryModel(
        name="list-append",
        about="Transactions of [append key value] and [r key list]: Jepsen's and Elle's EDN, "
        "elle-cli's JSON.",
        levels=tuple(LEVELS),
        default_level=DEFAULT_LEVEL,
        load=_list_append,
    ),
    HistoryModel(
        name="rw-register",
        about="Transactions of [w key value] and [r key value], no value written twice to a key:"
        " Jepsen's and Elle's EDN, elle-cli's JSON.",
        levels=tuple(LEVELS),
        default_level=DEFAULT_LEVEL,
        load=_rw_register,
    ),
    HistoryModel(
        name="register",
        about=f"read, write and cas of a register: {_KNOSSOS}, Jepsen's log lines by Porcupine's.",
        levels=(LINEARIZABLE,),
        default_level=LINEARIZABLE,
        load=lambda: judging.judge_register,
    ),
    HistoryModel(
        name="cas-register",
        about="The same: Knossos' and elle-cli's name for it.",
        levels=(LINEARIZABLE,),
        default_level=LINEARIZABLE,
        load=lambda: partial(judging.judge_register, model="cas-register"),
    ),
    HistoryModel(
        name="multi-register",
        about=f"txn of [read key value] and [write key value]: {_KNOSSOS}.",
        levels=(LINEARIZABLE,),
        default_level=LINEARIZABLE,
        load=lambda: judging.judge_multi_register,
    ),
    HistoryModel(
        name="mutex",
        about=f"acquire and release of one lock: {_KNOSSOS}.",
        levels=(LINEARIZABLE,),
        default_level=LINEARIZABLE,
        load=lambda: judging.judge_mutex,
    ),
    HistoryModel(
        name="kv",
        about="get, put and append of texts, each with its :key: Porcupine's EDN.",
        levels=(LINEARIZABLE,),
        default_level=LINEARIZABLE,
        load=lambda: judging.judge_text,
    ),
    HistoryModel(
        name="counter",
        about="add and read of a counter, add-and-get that answers the new value: EDN or JSON.",
        levels=(counter.BOUNDED,),
        default_level=counter.BOUNDED,
        load=lambda: judging.judge_counter,
        is_proved_by_an_order=False,
    ),
    HistoryModel(
        name="set",
        about="add of elements and a last read of all of them: EDN or JSON.",
        levels=(sets.EVENTUAL,),
        default_level=sets.EVENTUAL,
        load=lambda: judging.judge_set,
        is_proved_by_an_order=False,
    ),
    HistoryModel(
        name="set-full",
        about="add of elements and reads of all of them all along: EDN or JSON.",
        levels=(sets.EVENTUAL, sets.LINEARIZABLE),
        default_level=sets.EVENTUAL,
        load=lambda: judging.judge_set_full,
        is_proved_by_an_order=False,
    ),
    HistoryModel(
        name="bank",
        about="transfer between accounts and read of all balances: EDN or JSON.",
        levels=(bank.TOTALS, bank.NO_DEBTS),
        default_level=bank.NO_DEBTS,
        load=lambda: judging.judge_bank,
        is_proved_by_an_order=False,
    ),
    HistoryModel(
        name="long-fork",
        about="Writes of one key each and reads of groups of keys: EDN or JSON.",
        levels=(long_fork.SNAPSHOT_ISOLATION,),
        default_level=long_fork.SNAPSHOT_ISOLATION,
        load=lambda: judging.judge_long_fork,
    ),
    HistoryModel(
        name="comments",
        about="write of comments and read of all of them: EDN or JSON.",
        levels=(comments.STRICT_SERIALIZABLE,),
        default_level=comments.STRICT_SERIALIZABLE,
        load=lambda: judging.judge_comments,
        is_proved_by_an_order=False,
    ),
)
"""One entry a model."""

MODELS: Mapping[str, HistoryModel] = {model.name: model for model in _ALL}
