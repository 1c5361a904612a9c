"""Whether a dead primary's lease should end before its ttl. Pure: no I/O, no clock."""

from __future__ import annotations

from replication.witness.model import Decision, Memory, Nothing, Observed, WitnessSettings


def decide(observed: Observed, settings: WitnessSettings, memory: Memory) -> Decision:
    """What this witness should do now.

    Called again after every round of observations. ``Suspect``: the caller casts or renews its vote
    about this leader key's revision. ``EndLease``: enough sites agree (the own vote, which must be
    out, included); the caller runs the transaction once, and remembers an ``Act`` whatever came of
    it. ``Nothing``: the caller takes its vote back.
    """
    return Nothing(reason="this witness does not judge yet")
