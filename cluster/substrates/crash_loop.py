"""PostgreSQL that dies again and again: the script that kills it, on any substrate.

It is a process of the host itself, so that it ends with the host's power and outlives nothing.
"""

from __future__ import annotations

from pathlib import Path

UNIT = "crash-loop"
KILLED = "crash-loop"
"""The file in the host's data folder that gets the pid of each postmaster that was killed."""
SCRIPT = """
last= killed=0
while :; do
    pid=
    read -r pid 2>/dev/null <"$1"
    if [ -n "$pid" ] && [ "$pid" != "$last" ] && { [ -z "$4" ] || [ "$killed" -lt "$4" ]; } &&
        kill -9 "$pid" 2>/dev/null
    then
        last=$pid killed=$((killed + 1))
        echo "$pid" >>"$2"
        sleep "$3"
    else
        sleep 0.05
    fi
done
"""
"""Of the shell. A killed postmaster leaves its pid file, so that the same pid is not killed twice.
Once it has killed as often as it may, it waits for its end."""


def arguments(data: Path, every_s: float, times: int | None) -> tuple[str, ...]:
    """What follows ``sh -c SCRIPT``: a name, the pid file, the record, and the two limits.

    Args:
        data: the host's data folder.
        every_s: the least time between two kills.
        times: how many kills; None: no limit.
    """
    limit = "" if times is None else str(times)
    pid_file = data / "pgdata" / "postmaster.pid"  # PostgreSQL manual, 65.1
    return (UNIT, str(pid_file), str(data / KILLED), f"{every_s:g}", limit)
