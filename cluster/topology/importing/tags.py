"""The tags of a member of a real Patroni cluster, as a topology has them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields

from cluster.topology.importing.files import is_on
from cluster.topology.importing.names import name_of
from cluster.topology.tags import FLAG_OF, FLAG_TAGS, PRIORITY_TAGS, PriorityTag, Tags

NOSTREAM = "nostream"
OWN = frozenset(field.name for field in fields(Tags)) | {NOSTREAM}
"""Tags to which Patroni itself, or Bascule, gives a meaning."""


def import_tags(
    member: str,
    found: Mapping[str, object],
    *,
    members: Iterable[str],
) -> tuple[Tags, list[str]]:
    """A member's tags, and what of them a topology cannot say.

    Patroni heeds the flag where a priority contradicts it (patroni/tags.py, ``_bool_tag``).

    Args:
        member: its name.
        found: its section ``tags``.
        members: the names of all members.
    """
    said: list[str] = []
    flags = {name: is_on(found.get(name, False)) for name in FLAG_TAGS}
    priorities: dict[PriorityTag, int | None] = dict.fromkeys(PRIORITY_TAGS)
    for name, flag in FLAG_OF.items():
        number = _whole(found.get(name))
        if flag in found and number is not None and flags[flag] != (number <= 0):
            shown = f"{flag} = {str(flags[flag]).lower()}"
            said.append(
                f"tag {name} = {number} of {member}: contradicts {shown}, which Patroni heeds"
            )
        elif number is not None and not flags[flag]:
            priorities[name] = max(0, number)
    upstream = found.get("replicatefrom")
    known = {str(one) for one in members}
    if upstream is not None and str(upstream) not in known - {member}:
        said.append(
            f"tag replicatefrom = {upstream} of {member}: there is no other member of that name"
        )
        upstream = None
    if is_on(found.get(NOSTREAM, False)):
        said.append(f"tag {NOSTREAM} of {member}: it lives on an archive; here it streams")
    tags = Tags(
        nofailover=flags["nofailover"],
        nosync=flags["nosync"],
        noloadbalance=flags["noloadbalance"],
        clonefrom=flags["clonefrom"],
        reader=flags["reader"],
        failover_priority=priorities["failover_priority"],
        sync_priority=priorities["sync_priority"],
        replicatefrom=None if upstream is None else name_of(str(upstream)),
    )
    return tags, said


def _whole(value: object) -> int | None:
    """As Patroni reads it: what is no number is not there."""
    try:
        return int(str(value)) if not isinstance(value, bool) else None
    except ValueError:
        return None
