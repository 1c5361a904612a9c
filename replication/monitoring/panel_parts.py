"""What the panels of several rows share: whom they ask about, and how yes and no read. Values."""

from __future__ import annotations

from replication.monitoring.panel import Meaning

CLUSTER = 'cluster="$cluster"'
MEMBERS = 'cluster="$cluster", site=~"$site"'

NO_YES_BAD = (
    Meaning(value=0, text="no", colour="green"),
    Meaning(value=1, text="yes", colour="red"),
)
NO_YES_GOOD = (
    Meaning(value=0, text="no", colour="red"),
    Meaning(value=1, text="yes", colour="green"),
)
