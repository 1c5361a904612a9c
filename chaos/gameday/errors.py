"""What a lab that stays, and a cluster for tests, raise.

Those of a cluster for tests have one root, with the node and the tails of the logs beside it.

No name begins with ``Test``: pytest would take it for a test when a module imports it.
"""

from __future__ import annotations

from pathlib import Path

from chaos.errors import ChaosError, leaves


class LabDiedError(ChaosError):
    """The supervisor of a lab died: nothing of it runs, and its folder was removed.

    Attributes:
        run: its run folder.
    """

    def __init__(self, name: str, run: Path | None) -> None:
        words = (
            f"the supervisor of lab {name} has died, and its sites with it; "
            "what was left of it has been removed"
        )
        if run is not None:
            words += f"\n  what it recorded until then: bascule check {run}"
        super().__init__(words)
        self.run = run


class ClusterInTestsError(ChaosError):
    """The root.

    Args:
        message: for people.
        node: whom it is about, where it is one node.
        logs: the last lines of the logs that belong to it; part of the text, too.
    """

    def __init__(self, message: str, *, node: str | None = None, logs: str = "") -> None:
        super().__init__(f"{message}\n{logs}" if logs else message)
        self.node = node
        self.logs = logs


class OptionError(ClusterInTestsError):
    """What was asked for does not exist: a mode, a number of sites, a node, a scenario."""


class StartError(ClusterInTestsError):
    """The cluster could not be raised; nothing of it is left."""


class NotRunningError(ClusterInTestsError):
    """The cluster was not started, was stopped, or has ended by itself."""


NOT_RUNNING = "the cluster is not running: start it, or use it in a with block"


class NotHealthyError(ClusterInTestsError):
    """The cluster did not become whole, or has no primary, in the time that it was given."""


class FaultError(ClusterInTestsError):
    """A fault could not be brought about, or not be undone."""


class NoDockerError(StartError):
    """Docker, an image or the ``testing`` extra is missing; the message has the remedy."""


def words_of(error: BaseException) -> list[str]:
    """What an error says, or each of a group's, however deep they are nested."""
    return [str(leaf) or type(leaf).__name__ for leaf in leaves(error)]
