"""Reads how a Storage is described from a section of a TOML file (docs/reference/settings.md).

Reports everything that is wrong at once: first what each table has or lacks, then what its values
mean together, then whether the files and variables that it names exist.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from replication.access.credentials import PASSWORD_SOURCES, Credentials, CredentialsError, Secret
from replication.access.problems import ConfigError, Problem, nearest, one_of, refuse_if
from replication.access.tls import Tls
from replication.config.settings import (
    DCS_PASSWORD_SOURCES,
    Dcs,
    StorageConfig,
    StorageSettings,
    place_problems,
)
from replication.config.tables import (
    AnyTable,
    DcsTable,
    MemberTable,
    SettingsTable,
    StorageTable,
    TlsTable,
    read_table,
)
from replication.patroni.members import Member

SECTION = "bascule.storage"

Made = TypeVar("Made")


def load_config(path: Path | str, section: str = SECTION) -> StorageConfig:
    """The configuration in the table ``section`` of a TOML file.

    Args:
        path: the file; relative paths in it start at its folder.
        section: the path of the table, as ``tool.warehouse.storage`` in a ``pyproject.toml``.

    Raises:
        ConfigError: the file cannot be read or is wrong; names everything that is.
    """
    file = Path(path)
    values = read_section(file, section)
    reader = TableReader(folder=file.parent)
    config = reader.config(values, section)
    refuse_if(str(file), reader.problems)
    assert config is not None, "what cannot be made was said to be a problem"
    return config


def read_section(file: Path, section: str) -> Mapping[str, object]:
    """The table ``section`` of a TOML file; passwords in it are ``Secret``.

    Raises:
        ConfigError: the file cannot be read, is no TOML, or has no such table.
    """
    return _hidden(_section(str(file), _parse(file), section))


@dataclass(slots=True, kw_only=True)
class TableReader:
    """Makes values of tables. Notes what is wrong, and makes None of a wrong value.

    Args:
        folder: of the file: relative paths start there.
    """

    folder: Path
    problems: list[Problem] = field(default_factory=list)

    def config(self, values: Mapping[str, object], at: str) -> StorageConfig | None:
        """The section of a storage."""
        table = self.table(StorageTable, values, at)
        # The tables below are read even where the section around them is wrong.
        tls = self.below(self.tls, values, at, "tls")
        rest_tls = self.below(self.tls, values, at, "rest_tls")
        settings = self.below(self.settings, values, at, "settings")
        dcs = self.below(self.dcs, values, at, "dcs")
        members = self._members(values.get("members"), at)
        if table is None or members is None:
            return None
        places = place_problems(members, table.patroni or (), rest_tls)
        self.problems += [problem.below(at) for problem in places]
        is_tls_wrong = tls is None and table.tls is not None
        credentials = None if is_tls_wrong else self._credentials(table, tls, at)
        if credentials is None or self.problems:
            return None
        return StorageConfig(
            credentials=credentials,
            members=members,
            patroni=tuple(table.patroni or ()),
            dcs=dcs,
            rest_tls=rest_tls,
            settings=settings or StorageSettings(),
        )

    def tls(self, values: Mapping[str, object], at: str) -> Tls | None:
        """``[tls]``, or another table of its form."""
        table = self.table(TlsTable, values, at)
        if table is None:
            return None
        given: dict[str, Any] = table.model_dump(exclude_unset=True)
        paths: dict[str, Path] = {
            key: self.path(given[key])
            for key in ("ca_file", "cert_file", "key_file")
            if key in given and (key, given[key]) != ("ca_file", "system")
        }
        given.update(paths)
        tls = self.make(lambda: Tls(**given), at)
        self.problems += _missing_files(paths, at)
        return tls

    def settings(self, values: Mapping[str, object], at: str) -> StorageSettings | None:
        """``[settings]``."""
        table = self.table(SettingsTable, values, at)
        return None if table is None else StorageSettings(**table.model_dump(exclude_unset=True))

    def dcs(self, values: Mapping[str, object], at: str) -> Dcs | None:
        """``[dcs]``."""
        table = self.table(DcsTable, values, at)
        tls = self.below(self.tls, values, at, "tls")
        if table is None:
            return None
        given = table.model_dump(exclude_unset=True, exclude={"endpoints", "tls"})
        if "password_file" in given:
            given["password_file"] = self.path(given["password_file"])
        dcs = self.make(lambda: Dcs(endpoints=tuple(table.endpoints), tls=tls, **given), at)
        if dcs is not None and dcs.user is not None:
            self.require_password(dcs.resolve, DCS_PASSWORD_SOURCES, given, at)
        return dcs

    def _members(self, tables: object, at: str) -> tuple[Member, ...] | None:
        items = tables if isinstance(tables, list) else []
        read = [
            self.table(MemberTable, values, f"{at}.members[{index}]")
            for index, values in enumerate(items)
            if isinstance(values, dict)
        ]
        members = tuple(Member(**table.model_dump()) for table in read if table is not None)
        return members if len(members) == len(items) else None

    def _credentials(self, table: StorageTable, tls: Tls | None, at: str) -> Credentials | None:
        given = table.model_dump(
            exclude_unset=True,
            include={"user", "dbname", "application_name", *PASSWORD_SOURCES},
        )
        for key in ("password_file", "passfile"):
            if key in given:
                given[key] = self.path(given[key])
        credentials = self.make(lambda: Credentials(tls=tls, **given), at)
        if credentials is not None:
            self.require_password(credentials.resolve, PASSWORD_SOURCES, given, at)
        return credentials

    def require_password(
        self,
        resolve: Callable[[], object],
        sources: Sequence[str],
        given: Mapping[str, object],
        at: str,
    ) -> None:
        """Note it if the source of a password does not have it."""
        try:
            resolve()
        except CredentialsError as error:
            source = next(key for key in sources if key in given)
            self.problems.append(Problem(key=f"{at}.{source}", words=str(error)))

    def below(
        self,
        make: Callable[[Mapping[str, object], str], Made | None],
        values: Mapping[str, object],
        at: str,
        key: str,
    ) -> Made | None:
        """What ``make`` makes of the table ``key`` in ``values``; None where there is none."""
        found = values.get(key)
        return make(found, f"{at}.{key}") if isinstance(found, dict) else None

    def table(
        self, model: type[AnyTable], values: Mapping[str, object], at: str
    ) -> AnyTable | None:
        """``values`` as ``model``."""
        table, problems = read_table(model, values)
        self.problems += [problem.below(at) for problem in problems]
        return table

    def make(self, make: Callable[[], Made], at: str) -> Made | None:
        """What ``make`` makes, if the values go together."""
        try:
            return make()
        except ConfigError as error:
            self.problems += [problem.below(at) for problem in error.problems]
            return None

    def path(self, text: str) -> Path:
        """A path as the file has it."""
        return self.folder / Path(text).expanduser()


def _hidden(values: Mapping[str, object]) -> dict[str, object]:
    """A copy in which passwords that are texts are ``Secret``, so that no message shows them."""
    hidden = dict(values)
    if isinstance(hidden.get("password"), str):
        hidden["password"] = Secret(str(hidden["password"]))
    if isinstance(dcs := hidden.get("dcs"), dict):
        hidden["dcs"] = _hidden(dcs)
    return hidden


def _missing_files(paths: Mapping[str, Path], at: str) -> Iterator[Problem]:
    for key, path in paths.items():
        if not path.is_file():
            yield Problem(key=f"{at}.{key}", words=f"expected a file; there is none at {path}")


def _section(source: str, document: Mapping[str, Any], section: str) -> Mapping[str, object]:
    """The table ``section``.

    Raises:
        ConfigError: there is none; names the one that looks most like it.
    """
    found: Any = document
    for name in section.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    if isinstance(found, dict):
        return found
    tables = list(_table_paths(document, ""))
    near = nearest(section, tables)
    hint = f"did you mean [{near}]?" if near else f"it has {one_of(tables)}" if tables else ""
    words = f"expected a table [{section}]; {hint or 'the file has no table'}"
    raise ConfigError(source, [Problem(key="", words=words)])


def _table_paths(table: Mapping[str, Any], at: str) -> Iterator[str]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield f"{at}{key}"
            yield from _table_paths(value, f"{at}{key}.")


def _parse(file: Path) -> Mapping[str, Any]:
    """The TOML of ``file``.

    Raises:
        ConfigError: it cannot be read, or is not TOML. Raised beside the first error, not from it:
            that one's frames hold the text of the file, and there may be a password in it.
    """
    try:
        return tomllib.loads(file.read_bytes().decode("utf-8-sig"))
    except tomllib.TOMLDecodeError as error:
        words = f"no valid TOML: {error}"
    except UnicodeDecodeError as error:
        words = f"expected UTF-8; found another byte at {error.start}"
    except RecursionError:
        words = "no valid TOML: nested too deeply"
    except OSError as error:
        words = f"cannot be read: {error.strerror}"
    except ValueError:  # Python reads at most 4300 digits
        words = "no valid TOML: a number has too many digits"
    raise ConfigError(str(file), [Problem(key="", words=words)])
