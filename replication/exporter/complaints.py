"""Says in the log what is wrong, once, and once that it is over: not every second.

A member that is gone may fail in two ways by turns (no answer, no route): each is said once.
"""

from __future__ import annotations

import logging

_log = logging.getLogger("replication.exporter")

SAID_MAX = 20
"""Ways to fail that are told of one subject: an error's text may hold a port or a pid."""


class Complaints:
    """What was said about each subject since it was last well."""

    def __init__(self) -> None:
        self._said: dict[str, set[str]] = {}

    def about(self, subject: str, words: str) -> None:
        """Something is wrong with ``subject``."""
        said = self._said.setdefault(subject, set())
        if words not in said and len(said) < SAID_MAX:
            said.add(words)
            _log.warning("%s: %s", subject, words)

    def over(self, subject: str) -> None:
        """Nothing is wrong with ``subject`` any more."""
        if self._said.pop(subject, None) is not None:
            _log.info("%s: answers again", subject)
