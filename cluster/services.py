"""How the processes of a cluster get onto the hosts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import yaml

from cluster.binaries import Binaries
from cluster.etcd import member
from cluster.patroni import config
from cluster.patroni.config import Passwords
from cluster.substrates.base import Substrate
from cluster.topology.model import HostRole

StepReport = Callable[[str], None]
"""Called with the name of each step of a boot that is done: dcs, primary, replicas, protected."""
ROLE_OF_UNIT: Mapping[str, HostRole] = {config.UNIT: "postgres", member.UNIT: "etcd"}
"""For whose role each service is started."""


class Services(Protocol):
    """Starts etcd and Patroni on hosts, from a configuration that is made once and kept."""

    @property
    def credentials(self) -> Passwords:
        """The cluster's passwords."""
        ...

    async def start(self, host: str, only: HostRole | None = None) -> tuple[str, ...]:
        """Start what belongs on a host, etcd before Patroni.

        Args:
            host: whose processes.
            only: start just what this role needs.

        Returns:
            The names of the units that were started; they may not be ready yet.
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
            if host in self._began:
                # Only a member that has lost its data heeds this: the others have a cluster by now.
                await self.configure(host, "etcd", {member.STATE_KEY: "existing"})
            self._began.add(host)
        if "postgres" in roles:
            path = config_path(self._folder, config.UNIT, host)
            units.append(config.patroni_unit(path, self.credentials))
        for unit in units:
            await self._substrate.start_unit(host, unit)
        return tuple(unit.name for unit in units)

    async def configure(
        self, host: str, role: HostRole, changes: Mapping[str, object | None]
    ) -> None:
        """Rewrite the file."""
        [unit] = [unit for unit, of in ROLE_OF_UNIT.items() if of == role]
        path = config_path(self._folder, unit, host)
        found: dict[str, object | None] = {**yaml.safe_load(path.read_text()), **changes}
        path.write_text(to_yaml({key: one for key, one in found.items() if one is not None}))


def config_path(folder: Path, unit: str, host: str) -> Path:
    """Where the configuration of a unit is kept."""
    return folder / f"{unit}-{host}.yml"


def write_configs(substrate: Substrate, pg_bindir: Path, folder: Path) -> None:
    """Generate every member's configuration into a folder.

    Args:
        substrate: has the hosts' addresses and data folders.
        pg_bindir: PostgreSQL's programs, as the hosts see them.
        folder: is made where it is missing.
    """
    folder.mkdir(exist_ok=True)
    for host in substrate.topology.hosts_with("etcd"):
        path = config_path(folder, member.UNIT, host.name)
        path.write_text(to_yaml(member.render_config(substrate, host.name)))
    for host in substrate.topology.hosts_with("postgres"):
        path = config_path(folder, config.UNIT, host.name)
        path.write_text(to_yaml(config.render_config(substrate, host.name, pg_bindir)))


def to_yaml(config: Mapping[str, object]) -> str:
    """A generated configuration, in the order in which it was made."""
    return yaml.safe_dump(dict(config), sort_keys=False)
