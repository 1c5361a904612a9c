"""Names of ours for what is called otherwise. Pure."""

from __future__ import annotations

import re

from cluster.toml.reader import NAME


def name_of(text: str) -> str:
    """A name of ours: a Patroni name may have dots, underscores and capitals."""
    bare = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:32].strip("-")
    name = bare if bare[:1].isalpha() else f"n-{bare}"[:32].strip("-")
    assert NAME.fullmatch(name), name
    return name
