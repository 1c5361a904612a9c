"""How the processes of a cluster get onto the hosts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import yaml

from cluster.binaries import Binaries, find_proxy
from cluster.etcd import member
from cluster.patroni import config
from cluster.patroni.config import Passwords
from cluster.proxies import haproxy, pgbouncer
from cluster.substrates.base import DiskEditable, Substrate
from cluster.topology.model import HostRole, Topology

StepReport = Callable[[str], None]
"""Called with the name of each step of a boot that is done: dcs, primary, replicas, protected."""
ROLE_OF_UNIT: Mapping[str, HostRole] = {
    config.UNIT: "postgres",
    member.UNIT: "etcd",
    haproxy.UNIT: "haproxy",
    pgbouncer.UNIT: "pgbouncer",
}
"""For whose role each service is started."""
SUFFIXES: Mapping[str, str] = {haproxy.UNIT: ".cfg", pgbouncer.UNIT: ".ini"}
"""Of configurations that are no YAML."""
DBNAME = "postgres"
"""The database that PgBouncer leads to: that of the load."""


class Services(Protocol):
    """Starts etcd and Patroni on hosts, from a configuration that is made once and kept."""

    @property
    def credentials(self) -> Passwords:
        """The cluster's passwords."""
        ...

    async def start(self, host: str, only: HostRole | None = None) -> tuple[str, ...]:
        """Start what belongs on a host, etcd before Patroni, and these before proxies.

        Args:
            host: whose processes.
            only: start just what this role needs.

        Returns:
            The names of the units that were started; they may not be ready yet.
        """
        ...

    def forget_etcd(self) -> None:
        """Every member of etcd has lost its data: they make a new cluster when they start again."""
        ...

    def reconfigure(self, topology: Topology) -> None:
        """Make the configuration of every member anew, where the two clusters have changed roles.

        Args:
            topology: the same hosts, with the other one as the standby cluster.

        Raises:
            ClusterError: these services have no standby clusters.
        """
        ...

    async def configure(
        self, host: str, role: HostRole, changes: Mapping[str, object | None]
    ) -> None:
        """Change the kept configuration of a service, as an operator edits its file. It counts from
        the next start on, or from the next reload.

        Args:
            host: whose.
            role: of which service.
            changes: the keys at the top of the file, with their values; None takes a key out.

        Raises:
            ClusterError: the configuration of this substrate cannot be changed.
        """
        ...


class UnitServices:
    """Services that are processes on a host: units, as the lab runs them.

    Args:
        substrate: where they run.
        binaries: the programs they are.
        config_folder: keeps every member's configuration, ``<unit>-<host>.yml``.
        credentials: of a cluster that is there already; made anew if None.
    """

    def __init__(
        self,
        substrate: Substrate,
        binaries: Binaries,
        config_folder: Path,
        credentials: Passwords | None = None,
    ) -> None:
        self.credentials = credentials or Passwords()
        self._substrate = substrate
        self._binaries = binaries
        self._folder = config_folder
        self._began = set[str]()
        write_configs(substrate, binaries.pg_bindir, config_folder)

    async def start(self, host: str, only: HostRole | None = None) -> tuple[str, ...]:
        """Start what belongs on a host."""
        roles = [role for role in self._substrate.topology.host(host).roles if only in (None, role)]
        units = []
        if "etcd" in roles:
            path = config_path(self._folder, member.UNIT, host)
            units.append(member.etcd_unit(self._binaries.etcd.path, path))
            state = "existing" if host in self._began else "new"
            # Only a member that has no data heeds this: where the others have a cluster, it joins.
            await self.configure(host, "etcd", {member.STATE_KEY: state})
            self._began.add(host)
        if "postgres" in roles:
            path = config_path(self._folder, config.UNIT, host)
            units.append(config.patroni_unit(path, self.credentials, self._etcd_login(host)))
            settings = self._substrate.topology.cluster
            if settings.etcd_auth and settings.witness and settings.witness_gate:
                await self._leave_password(host)
        if "haproxy" in roles:
            path = config_path(self._folder, haproxy.UNIT, host)
            units.append(haproxy.haproxy_unit(find_proxy("haproxy").path, path))
        if "pgbouncer" in roles:
            path = config_path(self._folder, pgbouncer.UNIT, host)
            units.append(pgbouncer.pgbouncer_unit(find_proxy("pgbouncer").path, path))
        for unit in units:
            await self._substrate.start_unit(host, unit)
        return tuple(unit.name for unit in units)

    def forget_etcd(self) -> None:
        """The next start of each member is its first."""
        self._began.clear()

    def reconfigure(self, topology: Topology) -> None:
        """Make the configuration of every member of Patroni anew."""
        write_patroni_configs(self._substrate, self._binaries.pg_bindir, self._folder, topology)

    async def configure(
        self, host: str, role: HostRole, changes: Mapping[str, object | None]
    ) -> None:
        """Rewrite the file."""
        [unit] = [unit for unit, of in ROLE_OF_UNIT.items() if of == role]
        path = config_path(self._folder, unit, host)
        found: dict[str, object | None] = {**yaml.safe_load(path.read_text()), **changes}
        path.write_text(to_yaml({key: one for key, one in found.items() if one is not None}))

    async def _leave_password(self, host: str) -> None:
        """Let the gate log in at etcd: it is a program of its own, which Patroni runs."""
        path = config.gate_password_file(self._substrate, host)
        argv = ("sh", "-c", 'umask 077 && cat >"$1"', "sh", path)
        assert isinstance(self._substrate, DiskEditable)
        await self._substrate.edit_disk(host, argv, stdin=f"{self.credentials.etcd_patroni}\n")

    def _etcd_login(self, host: str) -> Mapping[str, str]:
        if not self._substrate.topology.cluster.etcd_auth:
            return {}
        return config.etcd_login(config.etcd_addresses(self._substrate, host), self.credentials)


def config_path(folder: Path, unit: str, host: str) -> Path:
    """Where the configuration of a unit is kept."""
    return folder / f"{unit}-{host}{SUFFIXES.get(unit, '.yml')}"


def write_configs(
    substrate: Substrate, pg_bindir: Path, folder: Path, *, gate: Sequence[str] = ()
) -> None:
    """Generate every member's configuration into a folder.

    Args:
        substrate: has the hosts' addresses and data folders.
        pg_bindir: PostgreSQL's programs, as the hosts see them.
        folder: is made where it is missing.
        gate: how the hosts run the gate; none: as it is run here.
    """
    folder.mkdir(exist_ok=True)
    for host in substrate.topology.hosts_with("etcd"):
        path = config_path(folder, member.UNIT, host.name)
        path.write_text(to_yaml(member.render_config(substrate, host.name)))
    write_patroni_configs(substrate, pg_bindir, folder, substrate.topology, gate=gate)
    for host in substrate.topology.hosts_with("haproxy"):
        path = config_path(folder, haproxy.UNIT, host.name)
        path.write_text(haproxy.render_config(substrate))
    for host in substrate.topology.hosts_with("pgbouncer"):
        path = config_path(folder, pgbouncer.UNIT, host.name)
        path.write_text(pgbouncer.render_config(substrate, host.name, DBNAME))


def write_patroni_configs(
    substrate: Substrate,
    pg_bindir: Path,
    folder: Path,
    topology: Topology,
    *,
    gate: Sequence[str] = (),
) -> None:
    """Generate the configuration of every member of Patroni."""
    for host in topology.hosts_with("postgres"):
        path = config_path(folder, config.UNIT, host.name)
        made = config.render_config(substrate, host.name, pg_bindir, topology, gate=gate)
        path.write_text(to_yaml(made))


def to_yaml(config: Mapping[str, object]) -> str:
    """A generated configuration, in the order in which it was made."""
    return yaml.safe_dump(dict(config), sort_keys=False)
