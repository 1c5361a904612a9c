"""How the command ends, for scripts: one code for each class of end (the README has the list)."""

from __future__ import annotations

USAGE = 2
COULD_NOT_RUN = 3
INTERRUPTED = 130
