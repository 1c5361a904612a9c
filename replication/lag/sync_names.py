"""How many standbys a commit waits for, read from ``synchronous_standby_names``. Pure.

PostgreSQL manual, "synchronous_standby_names": ``FIRST n (...)``, ``ANY n (...)``, ``n (...)`` (as
FIRST), a plain list (as ``FIRST 1``), or empty.
"""

from __future__ import annotations

import re

_COUNTED = re.compile(r"\s*(?:(?:FIRST|ANY)\s+)?(\d+)\s*\(", re.IGNORECASE)


def standbys_required(setting: str) -> int:
    """The number in the setting; 1 for a plain list, 0 when it is empty.

    A standby whose name begins with a digit must be quoted there, so it cannot pass for a number.
    """
    counted = _COUNTED.match(setting)
    if counted is not None:
        return int(counted[1])
    return 1 if setting.strip() else 0
