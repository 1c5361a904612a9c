"""What each table of a configuration may have: the type, the range and the words for every key.

pydantic checks them; its errors become ``Problem`` and are not passed on: they can hold values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from replication.access.credentials import Secret
from replication.access.problems import Problem, nearest, one_of, show
from replication.access.tls import MODES, TlsMode
from replication.patroni.members import EXPECTED_URL, base_url
from replication.units.durability import Durability

YEAR_S = 366 * 86_400

MembershipMode = Literal["followed", "fixed"]
"""Whether members come and go while a storage is open."""

ABSENT: Any = None
"""The default of a key that may be left out. It is never read: only given keys are taken."""

_PATH = "a path, seen from this file's folder"
_MODE = (
    f"{one_of(MODES)} (not allow or prefer: these go on without encryption when somebody on the way"
    " says that there is none)"
)

OneLine = Annotated[
    str,
    Field(
        pattern=r"^[^\x00-\x1f\x7f]{1,200}$", description="a text of one line, 1 to 200 characters"
    ),
]
PathText = Annotated[str, Field(pattern=r"^[^\x00]{1,4096}$", description=_PATH)]
SecretText = Annotated[Secret, Field(description="a text of one line, not empty")]
VariableName = Annotated[
    str,
    Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="the name of an environment variable"),
]
Url = Annotated[str, AfterValidator(base_url)]
Urls = Annotated[list[Url], Field(min_length=1, description=f"a list with {EXPECTED_URL}")]
Seconds = Annotated[
    float,
    Field(gt=0, le=YEAR_S, allow_inf_nan=False, description="seconds, above 0, a year at most"),
]
SubTable = Annotated[dict[str, object], Field(description="a table")]
SubTables = Annotated[
    list[dict[str, object]], Field(min_length=1, description="one or more tables [[members]]")
]
Sessions = Annotated[int, Field(ge=1, le=10_000, description="a whole number from 1 to 10000")]


class Table(BaseModel):
    """A table; unknown keys are refused, and a text is not taken for a number."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        hide_input_in_errors=True,
        defer_build=True,  # by the first file that is read: every process imports this module
    )


class TlsTable(Table):
    """``[tls]`` and ``[rest_tls]``."""

    mode: Annotated[TlsMode, Field(description=_MODE)] = ABSENT
    ca_file: Annotated[PathText, Field(description=f"{_PATH}, or system")] = ABSENT
    cert_file: PathText = ABSENT
    key_file: PathText = ABSENT


class SettingsTable(Table):
    """``[settings]``. What each is for, and where its default comes from: ``settings``."""

    prefer_site: OneLine = ABSENT
    deadline_s: Seconds = ABSENT
    durability: Annotated[Durability, Field(description="local, quorum or all_sites")] = ABSENT
    sessions_max: Sessions = ABSENT
    replica_sessions_max: Sessions = ABSENT
    connect_deadline_s: Seconds = ABSENT
    watch_interval_s: Seconds = ABSENT
    membership: Annotated[MembershipMode, Field(description="followed or fixed")] = ABSENT
    circuit_after: Sessions = ABSENT
    circuit_open_s: Seconds = ABSENT
    statement_timeout_s: Seconds = ABSENT
    id_row_retention_s: Seconds = ABSENT


class MemberTable(Table):
    """One of ``[[members]]``."""

    name: OneLine
    rest_url: Url = Field(description=EXPECTED_URL)
    # A comma would be a list of hosts to libpq, tried one after the other.
    host: str = Field(pattern=r"^[^\s,\x00]{1,255}$", description="one host name or address")
    port: int = Field(ge=1, le=65535, description="a port, 1 to 65535")
    site: OneLine = ABSENT


class DcsTable(Table):
    """``[dcs]``; its password is a ``Secret`` too."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    endpoints: Urls
    scope: OneLine
    namespace: OneLine = ABSENT
    tls: SubTable = ABSENT
    user: OneLine = ABSENT
    password: SecretText = ABSENT
    password_file: PathText = ABSENT
    password_env: VariableName = ABSENT


class StorageTable(Table):
    """The section itself. Its own tables are checked one by one; a password that is a text was
    made a ``Secret`` before."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    user: OneLine
    dbname: OneLine
    application_name: OneLine = ABSENT
    password: SecretText = ABSENT
    password_file: PathText = ABSENT
    password_env: VariableName = ABSENT
    passfile: PathText = ABSENT
    patroni: Urls = ABSENT
    tls: SubTable = ABSENT
    rest_tls: SubTable = ABSENT
    settings: SubTable = ABSENT
    dcs: SubTable = ABSENT
    members: SubTables = ABSENT


SECRET_KEYS = frozenset({"password", "password_env"})
"""No message shows a wrong value of these: what is not a variable's name may be the password."""

AnyTable = TypeVar("AnyTable", bound=Table)


def read_table(
    model: type[AnyTable], values: Mapping[str, object]
) -> tuple[AnyTable | None, list[Problem]]:
    """``values`` as ``model``, or everything that is wrong with them, by key."""
    try:
        return model.model_validate(dict(values)), []
    except ValidationError as error:
        wrong = {_place(detail["loc"]): str(detail["type"]) for detail in error.errors()}
    return None, list(_problems(model, values, wrong))


_Place = tuple[str, int | None]
"""A key, and which item of its list."""


def _place(loc: tuple[int | str, ...]) -> _Place:
    key, *rest = loc
    return str(key), rest[0] if rest and isinstance(rest[0], int) else None


def _problems(
    model: type[Table], values: Mapping[str, object], wrong: Mapping[_Place, str]
) -> Iterator[Problem]:
    known = list(model.model_fields)
    absent = [key for key in known if key not in values]
    unknown = [key for (key, _), kind in wrong.items() if kind == "extra_forbidden"]
    # That a key that was misspelt is missing too says nothing new.
    misspelt = {nearest(key, absent) for key in unknown}
    for (key, index), kind in wrong.items():
        if kind == "missing" and key not in misspelt:
            words = f"missing key; expected {model.model_fields[key].description}"
            yield Problem(key=key, words=words)
        elif key in model.model_fields and kind != "missing":
            yield _wrong_value(model, key, index, values[key])
    for key in unknown:
        near = nearest(key, absent) or nearest(key, known)
        hint = f"did you mean {near}?" if near else f"expected {one_of(sorted(known))}"
        yield Problem(key=key, words=f"unknown key; {hint}")


def _wrong_value(model: type[Table], key: str, index: int | None, value: object) -> Problem:
    field = model.model_fields[key]
    found = value[index] if index is not None and isinstance(value, list) else value
    shown = "something else" if key in SECRET_KEYS else show(found)
    choices = map(str, get_args(field.annotation))  # of a Literal
    near = nearest(found, choices) if isinstance(found, str) else None
    hint = f" (did you mean {near}?)" if near else ""
    return Problem(
        key=key if index is None else f"{key}[{index}]",
        words=f"expected {field.description}; found {shown}{hint}",
    )
