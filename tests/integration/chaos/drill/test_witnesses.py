"""Witnesses in a lab: a dead host is replaced in a moment; and when nobody may be replaced."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.commands.commands import sealed

TIMEOUT_S = 240.0


@pytest.mark.slow
def test_witnesses_replace_the_dead_and_nobody_else(tmp_path: Path) -> None:
    """A dry run acts on nothing; a frozen witness and maintenance mode give no act; a host that
    lost its power does."""
    said = sealed("support.lab.witness_lab", str(tmp_path), timeout_s=TIMEOUT_S)
    assert re.search(r"^replaced \d+\.\d\d s after the fault$", said, re.MULTILINE), said
