"""The clusters that this process has raised, by name, and the last drill that it ran.

``chaos run`` runs all activities of an experiment in one process, those in the background in other
threads of it. What is still up when the process exits is ended; a process that is killed takes its
labs along (``cluster.substrates.lab.enter``).
"""

from __future__ import annotations

import atexit
import os
import threading
from pathlib import Path

from chaoslib.exceptions import InterruptExecution

from chaos.gameday.errors import OptionError, StartError
from chaos.testing import PatroniCluster
from chaos.toolkit.activity import logger, words_of
from chaos.toolkit.outage import OutageWatch
from chaos.toolkit.writes import write

FIRST_WRITE_S = 60.0
"""For the first write after a start: it makes the tables of the storage layer, too."""


class Held:
    """One cluster, and what was done to it."""

    def __init__(self, name: str, cluster: PatroniCluster, url_env: str | None) -> None:
        self.name = name
        self.cluster = cluster
        self.outage = OutageWatch()
        self._powerless: list[str] = []
        self._url_env = url_env
        self._url_before = None if url_env is None else os.environ.get(url_env)

    @property
    def powerless(self) -> tuple[str, ...]:
        """The hosts whose power we have cut, in that order."""
        return tuple(self._powerless)

    def power_cut(self, host: str) -> None:
        """A host has lost its power."""
        self._powerless.append(host)

    def power_back(self, host: str) -> None:
        """A host has its power back. Idempotent."""
        if host in self._powerless:
            self._powerless.remove(host)

    def healed(self) -> None:
        """Everything that was broken is undone."""
        self._powerless.clear()

    def start(self) -> None:
        """Raise it; on return it is whole and has acknowledged a write.

        Raises:
            StartError: it could not be raised; nothing of it is left.
        """
        self.cluster.start()
        try:
            self._write_first()
            if self._url_env is not None:
                os.environ[self._url_env] = self.cluster.cluster_url()
        except BaseException:
            self.stop()
            raise

    def _write_first(self) -> None:
        refused = write(self.cluster, within_s=FIRST_WRITE_S)
        if refused is not None:
            words = f"no write was acknowledged within {FIRST_WRITE_S:g} s: {refused}"
            raise StartError(words, logs=self.cluster.log_tails())

    def stop(self) -> None:
        """End it. Idempotent."""
        if self._url_env is not None:
            if self._url_before is None:
                os.environ.pop(self._url_env, None)
            else:
                os.environ[self._url_env] = self._url_before
        self.cluster.stop()


class Registry:
    """Clusters by name. May be used by several threads."""

    def __init__(self) -> None:
        self.last_run: Path | None = None
        """The run folder of the last drill."""
        self._held: dict[str, Held] = {}
        self._changing = threading.Lock()

    def add(self, name: str, cluster: PatroniCluster, *, url_env: str | None = None) -> Held:
        """Raise a cluster, and keep it under a name.

        Args:
            name: by which activities ask for it.
            cluster: not started.
            url_env: an environment variable that has its URL, with the password, while it is up.

        Raises:
            OptionError: there is one of that name.
            StartError: it could not be raised; nothing of it is left.
        """
        with self._changing:
            if name in self._held:
                raise OptionError(f"the cluster {name} is up already")
            held = Held(name, cluster, url_env)
            held.start()
            self._held[name] = held
            return held

    def get(self, name: str) -> Held:
        """The cluster of that name.

        Raises:
            OptionError: there is none.
        """
        try:
            return self._held[name]
        except (KeyError, TypeError) as error:
            there = ", ".join(self._held) or "none: raise one, or use the control"
            raise OptionError(f"there is no cluster {name!r}; there are {there}") from error

    def is_up(self, name: str) -> bool:
        """There is a cluster of that name."""
        return name in self._held

    def close(self, name: str) -> None:
        """End the cluster of that name, if it is up."""
        with self._changing:
            held = self._held.get(name)
            if held is not None:
                held.stop()
                del self._held[name]  # not before: what is interrupted here is ended at exit

    def try_to_close(self, name: str) -> None:
        """``close``, but log an error: chaoslib would hide one that a control raises. What is still
        up is ended at exit."""
        try:
            self.close(name)
        except InterruptExecution:
            raise
        except Exception as error:
            words = words_of(error) or type(error).__name__
            logger.error(f"The cluster {name} could not be ended: {words}")

    def close_all(self) -> None:
        """``try_to_close`` every cluster."""
        for name in list(self._held):
            self.try_to_close(name)


clusters = Registry()
"""This process's."""
atexit.register(clusters.close_all)
