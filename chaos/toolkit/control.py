"""A control: raises a cluster before an experiment, and always ends it afterwards.

That is after a failure, a deviation, Ctrl-C and the signals of ``chaoslib.exit`` too. If even the
control is no longer called, the cluster ends with the process (``chaos.toolkit.held``). The journal
says what was raised, and with which versions: the extension ``bascule`` of its experiment, and
``bascule-NAME`` for a cluster with another name than ``default``.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from chaoslib.exceptions import InterruptExecution, InvalidActivity
from chaoslib.extension import set_extension
from chaoslib.types import Configuration, Control, Dry, Experiment, Journal, Secrets

from chaos.errors import ChaosError
from chaos.toolkit.activity import logger, word, words_of
from chaos.toolkit.held import Held, clusters
from chaos.toolkit.options import group_of, make_cluster, resolve
from chaos.toolkit.sigterm import sure_end
from cluster.binaries import find_binaries
from cluster.errors import ClusterError
from cluster.substrates.lab.kind import lab_versions

__all__ = ["after_experiment_control", "before_experiment_control", "cleanup_control"]

EXTENSION = "bascule"
DEFAULT = "default"
"""The name of the cluster where an experiment has but one."""


def validate_control(control: Control) -> None:
    """Refuse wrong arguments before the experiment begins.

    Arguments with ``${...}`` are not known before it runs.

    Raises:
        InvalidActivity: an argument is wrong.
    """
    arguments = dict(control["provider"].get("arguments") or {})
    asked = {
        name: value
        for name, value in arguments.items()
        if not (isinstance(value, str) and "${" in value)
    }
    try:
        _names_of(asked)
        make_cluster(asked, None, None)
    except (ChaosError, ClusterError) as error:
        raise InvalidActivity(f"Control '{control['name']}': {error}") from error


def before_experiment_control(
    context: Experiment,
    configuration: Configuration | None = None,
    secrets: Secrets | None = None,
    **arguments: object,
) -> None:
    """Raise the cluster.

    Args:
        context: the experiment. Where it is a dry run of all activities nothing is raised.
        configuration: as for the action ``raise_cluster``.
        secrets: the group ``bascule`` has the ``password``.
        arguments: as of the action ``raise_cluster``.

    Raises:
        InterruptExecution: it could not be raised: the experiment must not go on.
    """
    if context.get("dry") is Dry.ACTIVITIES:
        return
    sure_end.begin()
    try:
        name, url_env = _names_of(arguments)
        cluster = make_cluster(arguments, configuration, group_of(secrets))
        logger.info(f"Raising the cluster {name} ({cluster.topology.name})")
        clusters.add(name, cluster, url_env=url_env)
    except InterruptExecution:
        raise
    except Exception as error:  # any other type chaoslib would log as debug, and go on
        words = words_of(error) or type(error).__name__
        raise InterruptExecution(f"no cluster for this experiment: {words}") from error


def after_experiment_control(
    context: Experiment,
    state: Journal | None = None,
    configuration: Configuration | None = None,
    **arguments: object,
) -> None:
    """Write the state of the cluster into the journal, and end it.

    Args:
        context: the experiment.
        state: the journal; None where the experiment was broken off.
        configuration: as of ``before_experiment_control``.
        arguments: as of ``before_experiment_control``.
    """
    sure_end.over()
    name = str(arguments.pop("cluster", DEFAULT))
    arguments.pop("url_env", None)
    try:
        if state is not None and clusters.is_up(name):
            found = _described(clusters.get(name), state)
            found["versions"] = _versions(arguments, configuration)
            set_extension(state["experiment"], found)
    finally:
        clusters.try_to_close(name)


def cleanup_control() -> None:
    """Called at the very end, also after an interruption."""
    clusters.close_all()


def _names_of(arguments: dict[str, object]) -> tuple[str, str | None]:
    """Take out the arguments that are not the cluster's: its name, and the variable for its URL."""
    name = word("cluster", arguments.pop("cluster", DEFAULT))
    url_env = arguments.pop("url_env", None)
    return name, None if url_env is None else word("url_env", url_env)


def _described(held: Held, journal: Mapping[str, Any]) -> dict[str, Any]:
    """What the journal keeps; logs only if something is wrong."""
    cluster = held.cluster
    found: dict[str, Any] = {
        # One an extension: chaoslib has no two of the same name.
        "name": EXTENSION if held.name == DEFAULT else f"{EXTENSION}-{held.name}",
        "cluster": held.name,
        "topology": cluster.topology.name,
        "outages_s": [round(one_s, 3) for one_s in held.outage.outages_s],
    }
    try:
        found["state"] = str(cluster.state()).splitlines()
    except ChaosError as error:
        found["state"] = str(error).splitlines()
    if journal.get("deviated") or journal.get("status") != "completed":
        found["logs"] = cluster.log_tails().splitlines()
    return found


def _versions(
    arguments: Mapping[str, object], configuration: Mapping[str, object] | None
) -> dict[str, str]:
    """The versions of everything involved; in containers PostgreSQL and etcd are those of the
    images."""
    options = resolve(arguments, configuration)
    found = lab_versions(find_binaries(options.get("pg_bindir")))
    found["chaostoolkit-lib"] = version("chaostoolkit-lib")
    in_images = ("postgresql", "etcd") if options.get("mode") == "docker" else ()
    return {name: number for name, number in found.items() if name not in in_images}
