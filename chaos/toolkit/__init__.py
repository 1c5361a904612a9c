"""An extension for Chaos Toolkit (https://chaostoolkit.org), with our faults and verdict.

Needs the extra ``chaostoolkit``. See docs/use/chaostoolkit.md. A raised cluster belongs to the
process of ``chaos run``, stays up between its activities, and ends with it
(``chaos.toolkit.held``).
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from chaos.errors import ChaosError
from cluster.errors import PrerequisiteError
from cluster.substrates.lab.prerequisites import check_prerequisites

if TYPE_CHECKING:
    from chaoslib.types import Discovery

__all__ = ["discover"]

ACTIONS = "chaos.toolkit.actions"
PROBES = ("chaos.toolkit.probes", "chaos.toolkit.tolerances")


def discover(discover_system: bool = True) -> Discovery:
    """What this extension can do, for ``chaos discover``.

    Args:
        discover_system: try whether this machine can raise a lab, too (about 30 ms).

    Raises:
        ChaosError: Chaos Toolkit is not installed.
    """
    try:
        from chaoslib.discovery.discover import (  # noqa: PLC0415 (an extra)
            discover_actions,
            discover_probes,
            initialize_discovery_result,
        )
    except ImportError as error:
        words = "Chaos Toolkit is not installed: pip install chaostoolkit-lib"
        raise ChaosError(words) from error
    found = initialize_discovery_result("bascule", version("bascule"), "patroni")
    found["activities"] += discover_actions(ACTIONS)
    for module in PROBES:
        found["activities"] += discover_probes(module)
    if discover_system:
        found["system"] = {"lab": _lab_words()}
    return found


def _lab_words() -> str:
    try:
        check_prerequisites()
    except PrerequisiteError as error:
        return str(error)
    return "this machine can raise a lab"
