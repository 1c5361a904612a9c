"""Reads how a witness is described from a section of a TOML file (docs/operate/witness.md)."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import anyio.to_thread
from pydantic import Field

from replication.access.credentials import Secret, read_password_env, read_password_file
from replication.access.problems import Problem, refuse_if
from replication.access.tls import Tls
from replication.config.file import TableReader, read_section
from replication.config.settings import Dcs
from replication.config.tables import (
    ABSENT,
    OneLine,
    PathText,
    Seconds,
    SubTable,
    Table,
    VariableName,
)
from replication.witness.etcd import ssl_context_of
from replication.witness.model import WitnessSettings

SECTION = "bascule.witness"
SITES_MIN = 3
"""A majority of two sites is both of them: the loss of one leaves nobody who could act."""
REST_PASSWORD_SOURCES = ("password_file", "password_env")
Sites = Annotated[
    list[OneLine], Field(min_length=1, description="a list of sites, each with a witness")
]
Factor = Annotated[float, Field(ge=1, le=1000, description="a number from 1 to 1000")]


class RestTable(Table):
    """``[rest]``: who asks Patroni's REST API for something that is not only a look."""

    user: OneLine
    password_file: PathText = ABSENT
    password_env: VariableName = ABSENT


class PatienceTable(Table):
    """``[patience]``: the limits of ``WitnessSettings``."""

    patience_s: Seconds = ABSENT
    refused_patience_s: Seconds = ABSENT
    pg_hang_patience_s: Seconds = ABSENT
    jitter_factor: Factor = ABSENT
    unwhole_factor: Factor = ABSENT
    dcs_age_s_max: Seconds = ABSENT
    votes_expire_s: Seconds = ABSENT
    act_pause_s: Seconds = ABSENT
    act_pause_s_max: Seconds = ABSENT
    act_memory_s: Seconds = ABSENT


class WitnessTable(Table):
    """The section itself."""

    site: OneLine
    sites: Sites
    name: OneLine = ABSENT
    dcs: SubTable
    rest: SubTable = ABSENT
    rest_tls: SubTable = ABSENT
    patience: SubTable = ABSENT


@dataclass(frozen=True, slots=True, kw_only=True)
class RestLogin:
    """A user of Patroni's REST API (``restapi.authentication``); only nudges need one."""

    user: str
    password_file: Path | None = None
    password_env: str | None = None

    def password(self) -> Secret:
        """As its source has it now; reads a file, so not for the event loop.

        Raises:
            CredentialsError: the source does not have it.
        """
        if self.password_file is not None:
            return read_password_file(self.password_file)
        assert self.password_env is not None, "a user without any source was refused"
        return read_password_env(self.password_env)

    async def authorization(self) -> str:
        """The value of the header (RFC 7617).

        Raises:
            CredentialsError: the source does not have the password.
        """
        password = await anyio.to_thread.run_sync(self.password, abandon_on_cancel=True)
        pair = f"{self.user}:{password.reveal()}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessConfig:
    """All that a witness is made from. ``rest_tls``: None is that of ``Tls()``."""

    settings: WitnessSettings
    dcs: Dcs
    rest: RestLogin | None = None
    rest_tls: Tls | None = field(default=None)

    def rest_ssl_context(self) -> ssl.SSLContext | None:
        """For members whose Patroni speaks https, where the file says so; reads the files now.

        Raises:
            ConfigError: one cannot be used.
        """
        return None if self.rest_tls is None else self.rest_tls.ssl_context()

    def check_tls(self) -> None:
        """Read every file that a connection needs.

        Raises:
            ConfigError: one cannot be used.
        """
        self.rest_ssl_context()
        ssl_context_of(self.dcs)


def load_witness_config(path: Path, section: str = SECTION) -> WitnessConfig:
    """The configuration in the table ``section`` of a TOML file.

    Raises:
        ConfigError: the file cannot be read or is wrong; names everything that is.
    """
    reader = _WitnessReader(folder=path.parent)
    config = reader.witness(read_section(path, section), section)
    refuse_if(str(path), reader.problems)
    assert config is not None, "what cannot be made was said to be a problem"
    return config


class _WitnessReader(TableReader):
    """Reads the section of a witness."""

    def witness(self, values: Mapping[str, object], at: str) -> WitnessConfig | None:
        """The section."""
        table = self.table(WitnessTable, values, at)
        dcs = self.below(self.dcs, values, at, "dcs")
        rest = self.below(self.rest, values, at, "rest")
        rest_tls = self.below(self.tls, values, at, "rest_tls")
        patience = self.below(self.patience, values, at, "patience") or {}
        if table is None or dcs is None:
            return None
        self.problems += [problem.below(at) for problem in _problems(table)]
        settings = WitnessSettings(
            name=table.name if "name" in table.model_fields_set else table.site,
            site=table.site,
            sites=frozenset(table.sites),
            **patience,
        )
        self.problems += [problem.below(f"{at}.patience") for problem in _limits(settings)]
        return WitnessConfig(settings=settings, dcs=dcs, rest=rest, rest_tls=rest_tls)

    def rest(self, values: Mapping[str, object], at: str) -> RestLogin | None:
        """``[rest]``."""
        table = self.table(RestTable, values, at)
        if table is None:
            return None
        given = table.model_dump(exclude_unset=True)
        sources = [source for source in REST_PASSWORD_SOURCES if source in given]
        if len(sources) != 1:
            words = f"expected one of password_file and password_env; found {len(sources)}"
            self.problems.append(Problem(key=at, words=words))
            return None
        if "password_file" in given:
            given["password_file"] = self.path(given["password_file"])
        login = RestLogin(**given)
        self.require_password(login.password, REST_PASSWORD_SOURCES, given, at)
        return login

    def patience(self, values: Mapping[str, object], at: str) -> dict[str, float] | None:
        """``[patience]``."""
        table = self.table(PatienceTable, values, at)
        return None if table is None else table.model_dump(exclude_unset=True)


def _problems(table: WitnessTable) -> Iterator[Problem]:
    if len(set(table.sites)) != len(table.sites):
        yield Problem(key="sites", words="a site is there twice; expected each once")
    if table.site not in table.sites:
        words = f"expected it among sites, which are {', '.join(table.sites)}; found {table.site}"
        yield Problem(key="site", words=words)
    if len(table.sites) < SITES_MIN:
        words = (
            f"expected {SITES_MIN} or more: with fewer, the loss of one leaves no majority that"
            f" could replace a primary; found {len(table.sites)}"
        )
        yield Problem(key="sites", words=words)
    if "/" in (table.name if "name" in table.model_fields_set else table.site):
        words = "expected a name without a slash: it becomes a part of a key in etcd"
        yield Problem(key="name", words=words)


def _limits(settings: WitnessSettings) -> Iterator[Problem]:
    if settings.act_pause_s > settings.act_pause_s_max:
        words = f"expected act_pause_s_max ({settings.act_pause_s_max:g}) at most"
        yield Problem(key="act_pause_s", words=words)
    floor_s = 1.0
    if settings.votes_expire_s < floor_s:
        words = f"expected {floor_s:g} or more: etcd's leases are of whole seconds"
        yield Problem(key="votes_expire_s", words=words)
