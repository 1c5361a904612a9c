"""Tolerances: what a steady state demands of a verdict or a time. Each logs why it does not hold.

In an experiment each is a tolerance of type ``probe``, and its provider must have ``arguments``,
even as ``{}``: Chaos Toolkit adds ``value``, the probe's output, there.
"""

from collections.abc import Mapping

from chaos.gameday.errors import OptionError
from chaos.toolkit.activity import activity, logger, number, seconds

# Not "from __future__ import annotations": ``chaos discover`` looks at the types themselves.

__all__ = ["is_valid", "lag_at_most", "no_split_brain", "nothing_lost", "rto_at_most"]


@activity
def is_valid(value: object = None) -> bool:
    """The verdict is VALID: no findings, and nothing undecided.

    Args:
        value: the output of ``verdict`` or ``run_drill``.
    """
    found = _field(value, "verdict")
    return _holds(found == "valid", f"the verdict is {found}: {_field(value, 'sentence')}")


@activity
def rto_at_most(limit_s: float, value: object = None) -> bool:
    """The longest outage was no longer than a limit. An unknown one does not pass.

    Args:
        limit_s: in seconds.
        value: the output of ``verdict`` or ``run_drill``, or seconds (``outage_s``).
    """
    limit = seconds("limit_s", limit_s)
    found = _field(value, "rto_s") if isinstance(value, Mapping) else value
    if found is None:
        return _holds(False, "nobody can tell the RTO")
    rto_s = seconds("the RTO", found)
    return _holds(rto_s <= limit, f"the outage was {rto_s:.1f} s, above {limit:g} s")


@activity
def nothing_lost(value: object = None) -> bool:
    """It is certain that no acknowledged write was lost.

    Args:
        value: the output of ``verdict`` or ``run_drill``.
    """
    lost = _field(value, "lost")
    found = "nobody knows how many" if lost is None else lost
    return _holds(lost == 0, f"acknowledged writes were lost: {found}")


@activity
def no_split_brain(value: object = None) -> bool:
    """It is certain that there never were two primaries that acknowledged writes.

    Args:
        value: the output of ``verdict`` or ``run_drill``.
    """
    found = _field(value, "split_brain")
    words = "a split brain can not be excluded" if found is None else "there was a split brain"
    return _holds(found is False, words)


@activity
def lag_at_most(limit_bytes: int, value: object = None) -> bool:
    """The replica that is furthest behind is not further behind than a limit.

    Args:
        limit_bytes: in bytes.
        value: the output of ``replica_lag_bytes``.
    """
    limit = number("limit_bytes", limit_bytes, what="bytes")
    lag = number("the lag", value, what="bytes")
    return _holds(lag <= limit, f"the lag in bytes is {lag:,.0f}, above {limit:,.0f}")


def _field(value: object, name: str) -> object:
    if not isinstance(value, Mapping) or name not in value:
        raise OptionError(f"expected a verdict, with the field {name}; found {value!r}")
    return value[name]


def _holds(is_so: bool, otherwise: str) -> bool:
    if not is_so:
        logger.warning(f"not tolerated: {otherwise}")
    return is_so
