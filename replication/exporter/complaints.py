"""Says in the log what is wrong, once, and once that it is over: not every second."""

from __future__ import annotations

import logging

_log = logging.getLogger("replication.exporter")


class Complaints:
    """The last complaint about each subject."""

    def __init__(self) -> None:
        self._said: dict[str, str] = {}

    def about(self, subject: str, words: str) -> None:
        """Something is wrong with ``subject``."""
        if self._said.get(subject) != words:
            self._said[subject] = words
            _log.warning("%s: %s", subject, words)

    def over(self, subject: str) -> None:
        """Nothing is wrong with ``subject`` any more."""
        if self._said.pop(subject, None) is not None:
            _log.info("%s: answers again", subject)
