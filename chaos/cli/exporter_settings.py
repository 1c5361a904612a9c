"""From what is on the command line, or in a TOML file, to the settings of an exporter."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click

from chaos.errors import ChaosError
from replication.access.credentials import Credentials, CredentialsError
from replication.access.problems import ConfigError
from replication.access.tls import Tls
from replication.config.file import load_config
from replication.config.settings import StorageConfig
from replication.monitoring.exporter.settings import ExporterSettings, parse_member
from replication.open import find_members, uses_tls
from replication.patroni.members import Member, base_url

APPLICATION_NAME = "bascule-exporter"
PGPASS = Path("~/.pgpass")


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What was written on the command line."""

    config: Path | None
    section: str
    cluster: str | None
    members: Sequence[str]
    user: str | None
    dbname: str
    password_file: Path | None
    dcs: Sequence[str]
    interval_s: float


async def settings_of(words: Words) -> ExporterSettings:
    """The settings. Where a file lists no members, Patroni is asked for them.

    Raises:
        click.UsageError: something is missing, or does not go together.
        ChaosError: the file, or a file that it names, is wrong.
        DiscoveryError: no address of Patroni named the members in time.
    """
    try:
        if words.config is None:
            return _from_words(words)
        return await _from_file(words, load_config(words.config, words.section))
    except ConfigError as error:
        raise ChaosError(str(error)) from error


def _from_words(words: Words) -> ExporterSettings:
    user, cluster = words.user, words.cluster
    if user is None:
        raise click.UsageError("--user is missing (or --config).")
    if cluster is None:
        raise click.UsageError("--cluster is missing.")
    if not words.members:
        raise click.UsageError("--member is missing: give every member of the cluster.")
    members = tuple(map(_member, words.members))
    if len({member.name for member in members}) != len(members):
        raise click.BadParameter("two members have one name", param_hint="--member")
    endpoints = tuple(map(_endpoint, words.dcs))
    is_secure = any(
        url.startswith("https:") for url in (*endpoints, *(m.rest_url for m in members))
    )
    tls = Tls().ssl_context() if is_secure else None
    return ExporterSettings(
        cluster=cluster,
        members=members,
        credentials=_credentials(words, user),
        interval_s=words.interval_s,
        dcs_endpoints=endpoints,
        rest_tls=tls,
        dcs_tls=tls,
    )


async def _from_file(words: Words, config: StorageConfig) -> ExporterSettings:
    given = {
        "--member": bool(words.members),
        "--user": words.user is not None,
        "--password-file": words.password_file is not None,
        "--dcs": bool(words.dcs),
    }
    for option, is_given in given.items():
        if is_given:
            raise click.UsageError(f"{option} and --config do not go together.")
    cluster = words.cluster or (None if config.dcs is None else config.dcs.scope)
    if cluster is None:
        raise click.UsageError("--cluster is missing: the file has no [dcs] with a scope.")
    credentials = config.credentials
    if credentials.application_name == "bascule":  # the default
        credentials = replace(credentials, application_name=APPLICATION_NAME)
    members = await find_members(config)
    dcs = config.dcs
    dcs_tls = None
    if dcs is not None and any(url.startswith("https:") for url in dcs.endpoints):
        dcs_tls = (dcs.tls or Tls()).ssl_context()
    return ExporterSettings(
        cluster=cluster,
        members=members,
        credentials=credentials,
        interval_s=words.interval_s,
        dcs_endpoints=() if dcs is None else tuple(map(base_url, dcs.endpoints)),
        rest_tls=config.rest_ssl_context() if uses_tls(config, members) else None,
        dcs_tls=dcs_tls,
        listed=config.members,
        patroni=config.patroni,
        membership=config.settings.membership,
    )


def _credentials(words: Words, user: str) -> Credentials:
    """The password comes from the file, else from PGPASSWORD, else from ~/.pgpass."""
    file, variable = words.password_file, None
    if file is None and os.environ.get("PGPASSWORD"):
        variable = "PGPASSWORD"
    passfile = PGPASS.expanduser() if file is None and variable is None else None
    credentials = Credentials(
        user=user,
        dbname=words.dbname,
        application_name=APPLICATION_NAME,
        password_file=file,
        password_env=variable,
        passfile=passfile,
    )
    try:
        credentials.resolve()
    except CredentialsError as error:
        raise ChaosError(str(error)) from error
    return credentials


def _member(text: str) -> Member:
    try:
        return parse_member(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--member") from error


def _endpoint(text: str) -> str:
    try:
        return base_url(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--dcs") from error
