"""Which processes of a host are whose, by what they say of themselves."""

from __future__ import annotations

import anyio
import pytest

from chaos.faults import programs
from chaos.faults.programs import client_backends, is_of, processes_of, wait_processes
from cluster.errors import ClusterError
from cluster.substrates.base import HostProcess

COMMANDS = {
    3: "/venv/bin/python -m cluster.patroni.daemon /run/config/patroni-db-paris.yml",
    40: "/opt/pg/bin/postgres -D /run/bascule/db-paris/pgdata --config-file=postgresql.conf",
    41: "postgres: warehouse: checkpointer ",
    42: "postgres: warehouse: background writer ",
    43: "postgres: warehouse: walsender replicator 10.77.2.10(40112) streaming 0/5000060",
    44: "postgres: warehouse: postgres postgres [local] idle",
    45: "postgres: warehouse: bascule_app postgres 10.77.1.12(55640) COMMIT",
    46: "postgres: warehouse: bascule_app postgres 10.77.3.12(41002) idle in transaction",
    47: "postgres: app warehouse fd00::12(41002) idle",
    48: "postgres: warehouse: autovacuum launcher ",
    60: "/usr/bin/etcd --config-file /run/config/etcd-dcs-paris.yml",
    61: "sh -c last= killed=0 crash-loop /run/bascule/db-paris/pgdata/postmaster.pid",
    62: "",
}
IN_A_CONTAINER = "python /opt/patroni/daemon.py /tmp/patroni.yml"


def process(pid: int, command: str, state: str = "S") -> HostProcess:
    return HostProcess(pid=pid, parent=1, state=state, resident_kb=10, command=command)


FOUND = tuple(process(pid, command) for pid, command in COMMANDS.items())


def test_every_process_belongs_to_one_program_at_most() -> None:
    def pids(program: programs.HostProgram) -> list[int]:
        return [one.pid for one in processes_of(program, FOUND)]

    assert pids("patroni") == [3]
    assert pids("postgres") == [*range(40, 49)]
    assert pids("etcd") == [60]
    assert is_of("patroni", process(7, IN_A_CONTAINER))
    assert not is_of("postgres", process(7, IN_A_CONTAINER))


def test_a_client_is_neither_a_replica_nor_patroni_nor_the_server_itself() -> None:
    assert [one.pid for one in client_backends(FOUND)] == [45, 46, 47]
    assert [one.pid for one in client_backends(tuple(reversed(FOUND)))] == [45, 46, 47]
    assert client_backends(()) == ()


def test_what_is_not_seen_in_time_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "EFFECT_TIMEOUT_S", 0.1)

    class Machine:
        async def processes(self, _: str) -> tuple[HostProcess, ...]:
            return FOUND

    async def wait(state: str) -> tuple[HostProcess, ...]:
        return await wait_processes(
            Machine(),  # type: ignore[arg-type]
            "db-paris",
            "every process stopped",
            lambda found: all(one.state == state for one in found),
        )

    assert anyio.run(wait, "S") == FOUND
    with pytest.raises(
        ClusterError, match=r"not seen on db-paris in 0\.1 s: every process stopped"
    ):
        anyio.run(wait, "T")
