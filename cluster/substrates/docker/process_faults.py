"""What can be done to the processes and the data of a host that is a container.

The first process is Docker's own small init (``init: true``), which reaps; all others are seen and
signalled by a shell beside them. It is not among them, so that it works on a frozen host too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cluster.errors import EngineError, HostError
from cluster.patroni import config
from cluster.substrates import crash_loop
from cluster.substrates.base import HostProcess
from cluster.substrates.docker import client as docker
from cluster.substrates.docker import project
from cluster.substrates.docker.container import Container
from cluster.substrates.docker.images import image_name
from cluster.substrates.lab.host_init import state_of
from cluster.topology.model import Topology

PAGE_KB = 4
LOOK = """
for folder in /proc/[0-9]*; do
    pid=${folder#/proc/}
    test "$pid" = 1 || test "$pid" = "$$" && continue
    states= stat=
    for task in "$folder"/task/*/stat; do
        read -r line 2>/dev/null <"$task" || continue
        set -- ${line##*) }
        states="$states$1"
    done
    read -r stat 2>/dev/null <"$folder/stat" || continue
    set -- ${stat##*) }
    test "$2" = "$$" && continue
    command=$(tr '\\000\\n' '  ' 2>/dev/null <"$folder/cmdline")
    printf '%s %s %s %s %s\\n' "$pid" "$2" "$states" "${22}" "$command"
done
"""
"""A line for each process: pid, parent, the state of each thread, resident pages, command line
(proc(5)). Neither the first one nor this shell and its children."""
SIGNAL_EACH = 'number=$1; shift; for pid; do kill -"$number" "$pid" 2>/dev/null; done; true'
SIGNAL_ALL = 'kill -"$1" -1'
"""But for the container's init and this shell (kill(2), pid -1)."""
STOP = 'test ! -e "$1" || { kill "$(cat "$1")" 2>/dev/null; rm -f "$1"; }'
COUNT = 'test ! -e "$1" && echo 0 || wc -l <"$1"'
PID_FILE = Path("/tmp/crash-loop.pid")
"""In a tmpfs of the container: it goes with the power."""


class ProcessFaults:
    """A part of ``ContainerHosts``: the abilities ProcessSteerable, CrashLoopable and Wipeable."""

    topology: Topology
    _units: Mapping[str, Mapping[str, Container]]
    _dark: set[str]

    def data_folder(self, host: str) -> Path:
        """Where the host's data is, inside its container."""
        roles = self.topology.host(host).roles
        return Path(project.ETCD_DATA if "etcd" in roles else project.POSTGRES_DATA)

    def has_power(self, host: str) -> bool:
        """Its power was not cut."""
        return host not in self._dark

    async def processes(self, host: str) -> tuple[HostProcess, ...]:
        """Every process of the host but the containers' inits, the service's first; none where it
        does not run. One beside the service may have the pid of one of the service."""
        found: list[HostProcess] = []
        for container in tuple(self._units[host].values()):
            found += await self._processes_in(container)
        return tuple(found)

    async def _processes_in(self, container: Container) -> tuple[HostProcess, ...]:
        if not container.is_up:
            return ()
        try:
            return parse(await container.execute(LOOK))
        except EngineError:
            if container.is_up and not await container.is_gone():
                raise
            return ()  # it has ended meanwhile

    async def signal_processes(self, host: str, pids: Sequence[int], number: int) -> None:
        """Signal these processes of the service; one that has ended meanwhile is passed over."""
        await self._main(host).execute(SIGNAL_EACH, str(int(number)), *map(str, pids))

    async def signal_all_processes(self, host: str, number: int) -> None:
        """Signal every process of the host but the containers' inits, each container's in one
        moment; the service's first."""
        await self._main(host).execute(SIGNAL_ALL, str(int(number)))
        for container in tuple(self._units[host].values())[1:]:
            if container.is_up:
                await container.execute(SIGNAL_ALL, str(int(number)))

    async def start_crash_loop(self, host: str, every_s: float, times: int | None) -> None:
        """Kill the postmaster, and each new one: a shell in the container does it."""
        await self.stop_crash_loop(host)
        data = self.data_folder(host)
        script = f'rm -f "$2"; echo $$ >{PID_FILE}; {crash_loop.SCRIPT}'
        limits = crash_loop.arguments(data, every_s, times)
        name = self._main(host).name
        await docker.run("exec", "--detach", name, "sh", "-c", script, *limits)

    async def crashes(self, host: str) -> int:
        """How often it has killed since it was started."""
        record = str(self.data_folder(host) / crash_loop.KILLED)
        return int(await self._main(host).execute(COUNT, record))

    async def stop_crash_loop(self, host: str) -> None:
        """End it; no effect where there is none."""
        await self._main(host).execute(STOP, str(PID_FILE))

    async def wipe_data(self, host: str) -> None:
        """Delete PostgreSQL's data folder: another container does, on the volume of this one.

        Raises:
            HostError: the host has power, or has no PostgreSQL.
            EngineError: the data could not be deleted.
        """
        container = self._main(host)
        if container.is_up or container.unit != config.UNIT:
            raise HostError(f"{host} has power, or no data of PostgreSQL", host=host)
        data = f"{project.POSTGRES_DATA}/pgdata"
        await docker.run(
            *("run", "--rm", "--network", "none", "--volumes-from", container.name),
            *("--entrypoint", "rm", image_name("postgres"), "-r", data),
        )

    def _main(self, host: str) -> Container:
        found = next(iter(self._units[host].values()), None)
        if found is None:
            raise HostError(f"{host} has no process of its own", host=host)
        return found


def parse(text: str) -> tuple[HostProcess, ...]:
    """What ``LOOK`` printed. Pure.

    Raises:
        EngineError: it is something else.
    """
    found = []
    for line in text.splitlines():
        try:
            pid, parent, states, pages, *command = line.split(" ", 4)
            found.append(
                HostProcess(
                    pid=int(pid),
                    parent=int(parent),
                    state=state_of(states),
                    resident_kb=int(pages) * PAGE_KB,
                    command="".join(command).strip(),
                )
            )
        except ValueError as error:
            raise EngineError(f"the look at a container's processes printed {line!r}") from error
    return tuple(found)
