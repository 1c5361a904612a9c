"""How a Storage is described: in code, in TOML, in a DSN; and everything that can be wrong."""

from __future__ import annotations

import math
import re
import traceback
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest
from pydantic import BaseModel

from replication.access.credentials import Credentials, Secret
from replication.access.problems import ConfigError
from replication.access.tls import Tls
from replication.config.dsn import from_dsn
from replication.config.file import load_config
from replication.config.settings import Dcs, StorageConfig, StorageSettings
from replication.config.tables import DcsTable, MemberTable, SettingsTable, StorageTable, TlsTable
from replication.patroni.members import Member

ROOT = Path(__file__).parents[4]
PAGE = (ROOT / "docs" / "reference" / "settings.md").read_text()
SECRET = "hunter2-unmistakable"
MEMBER = Member(name="db-a", rest_url="http://db1:8008", host="db1", port=5432)
CREDENTIALS = Credentials(user="app", password="x", dbname="warehouse")
ENDPOINTS = ["https://db1:8008", "https://db2:8008"]


def written(folder: Path, text: str, *, name: str = "bascule.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def problems_of(path: Path) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert caught.value.source == str(path)
    assert SECRET not in str(caught.value)
    for problem in caught.value.problems:
        assert str(problem) in str(caught.value)
    return {
        problem.key.removeprefix("bascule.storage."): problem.words
        for problem in caught.value.problems
    }


def report_of(error: Exception) -> str:
    """The error with the local variables of every frame below the test's own."""
    assert error.__traceback__ is not None
    frames = error.__traceback__.tb_next
    report = traceback.TracebackException(type(error), error, frames, capture_locals=True)
    return "".join(report.format())


def example(page: str, heading: str) -> str:
    """The TOML below ``heading``."""
    section = page[page.index(f"## {heading}\n") :]
    found = re.search(r"```toml\n(.*?)```", section, re.DOTALL)
    assert found is not None
    return found[1]


def with_files(folder: Path) -> Path:
    """A folder with what the page's example names."""
    (folder / "tls").mkdir()
    for name in ("ca.pem", "app.pem", "app.key"):
        (folder / "tls" / name).write_text("-")
    (folder / "secrets").mkdir()
    for name in ("app", "etcd"):
        (folder / "secrets" / name).write_text(f"{SECRET}\n")
    return folder


def test_the_example_of_the_page(tmp_path: Path) -> None:
    folder = with_files(tmp_path)
    config = load_config(written(folder, example(PAGE, "An example")))
    assert config.credentials.resolve() == Secret(SECRET)
    assert config.credentials.tls == Tls(mode="verify-full", ca_file=folder / "tls" / "ca.pem")
    assert config.patroni == (
        "https://db1.example.org:8008",
        "https://db2.example.org:8008",
        "https://db3.example.org:8008",
    )
    assert config.settings == StorageSettings(prefer_site="paris", deadline_s=45)
    assert SECRET not in repr(config)


def test_the_errors_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = example(PAGE, "An example").replace("password_file", "pasword_file")
    written(tmp_path, text.replace("deadline_s = 45", "deadline_s = 0"))
    monkeypatch.chdir(tmp_path)
    shown = re.search(r"```text\n(.*?)\n```", PAGE, re.DOTALL)
    assert shown is not None
    with pytest.raises(ConfigError) as caught:
        load_config("bascule.toml")
    assert str(caught.value) == shown[1]


def test_the_example_with_every_key(tmp_path: Path) -> None:
    """Every key but the sources of the password, of which there can be one."""
    folder = with_files(tmp_path)
    text = example(PAGE, "Everything at once")
    config = load_config(written(folder, text, name="pyproject.toml"), "tool.warehouse.storage")
    keys = (folder / "tls" / "app.pem", folder / "tls" / "app.key")
    rest = Tls(ca_file=folder / "tls" / "ca.pem", cert_file=keys[0], key_file=keys[1])
    assert config.rest_tls == rest
    assert config.dcs == Dcs(
        endpoints=("https://etcd1.example.org:2379",),
        scope="warehouse",
        namespace="/service",
        tls=Tls(ca_file=folder / "tls" / "ca.pem"),
        user="app",
        password_file=folder / "secrets" / "etcd",
    )
    assert config.dcs.resolve() == Secret(SECRET)
    assert [member.site for member in config.members] == ["paris", "orsay"]
    assert config.settings == StorageSettings(prefer_site="paris", statement_timeout_s=60.0)
    for model in (SettingsTable, MemberTable, DcsTable, StorageTable, TlsTable):
        for key in model.model_fields:
            if key not in ("password", "password_env", "passfile"):
                assert re.search(rf"^{key} =|^\[.*\b{key}\]", text, re.MULTILINE), key


@pytest.mark.parametrize("model", [SettingsTable, MemberTable, DcsTable, StorageTable, TlsTable])
def test_every_key_is_on_the_page_and_says_what_it_expects(model: type[BaseModel]) -> None:
    for key, field in model.model_fields.items():
        assert re.search(rf"^\| `[^|]*\b{key}\b[^|]*` \|", PAGE, re.MULTILINE), key
        assert field.description


def test_defaults_of_the_page_are_those_of_the_code() -> None:
    for one in fields(StorageSettings):
        row = re.search(rf"^\| `{one.name}` \| [^|]* \| ([^|]*) \|", PAGE, re.MULTILINE)
        assert row is not None, one.name
        shown = {"none": None}.get(row[1].strip("` "), row[1].strip("` "))
        if isinstance(one.default, float | int):
            assert shown is not None
            assert float(shown) == one.default
        else:
            assert shown == one.default


def test_tables_and_values_have_the_same_keys() -> None:
    assert set(SettingsTable.model_fields) == {one.name for one in fields(StorageSettings)}
    assert set(TlsTable.model_fields) == {one.name for one in fields(Tls)}
    assert set(DcsTable.model_fields) == {one.name for one in fields(Dcs)}
    assert set(MemberTable.model_fields) == {one.name for one in fields(Member)}
    config = {one.name for one in fields(StorageConfig)} - {"credentials"}
    assert set(StorageTable.model_fields) == config | {one.name for one in fields(Credentials)}


def test_everything_wrong_is_told_at_once(tmp_path: Path) -> None:
    found = problems_of(
        written(
            tmp_path,
            f"""
            [bascule.storage]
            user = 7
            pasword = "{SECRET}"
            password_env = "{SECRET} is no name"
            patroni = ["https://me:{SECRET}@db1:8008", 5]
            [bascule.storage.tls]
            mode = "verify_full"
            cert_file = "c.pem"
            [bascule.storage.rest_tls]
            mode = "prefer"
            [bascule.storage.settings]
            deadline = 3
            deadline_s = nan
            durability = "all-sites"
            sessions_max = true
            circuit_after = 0
            [bascule.storage.dcs]
            endpoints = []
            tls.mode = "allow"
            [[bascule.storage.members]]
            name = "db-a"
            rest_url = "db1:8008"
            host = "db1,db2"
            port = 70000
            [[bascule.storage.members]]
            """,
        )
    )
    assert {key: words for key, words in found.items() if "members[1]" not in key} == {
        "user": "expected a text of one line, 1 to 200 characters; found 7",
        "dbname": "missing key; expected a text of one line, 1 to 200 characters",
        "password_env": "expected the name of an environment variable; found something else",
        "patroni[0]": found["patroni[0]"],
        "patroni[1]": found["patroni[1]"],
        "pasword": "unknown key; did you mean password?",
        "tls.mode": found["tls.mode"],
        "rest_tls.mode": found["rest_tls.mode"],
        "settings.deadline_s": "expected seconds, above 0, a year at most; found nan",
        "settings.durability": (
            'expected local, quorum or all_sites; found "all-sites" (did you mean all_sites?)'
        ),
        "settings.sessions_max": "expected a whole number from 1 to 10000; found true",
        "settings.circuit_after": "expected a whole number from 1 to 10000; found 0",
        "settings.deadline": "unknown key; did you mean connect_deadline_s?",
        "dcs.endpoints": found["dcs.endpoints"],
        "dcs.scope": "missing key; expected a text of one line, 1 to 200 characters",
        "dcs.tls.mode": found["dcs.tls.mode"],
        "members[0].rest_url": (
            "expected an address as https://db1:8008, without user, password or path;"
            ' found "db1:8008"'
        ),
        "members[0].host": 'expected one host name or address; found "db1,db2"',
        "members[0].port": "expected a port, 1 to 65535; found 70000",
    }
    assert len([key for key in found if "members[1]" in key]) == 4
    assert 'found "https://…@db1:8008"' in found["patroni[0]"]
    assert "(did you mean verify-full?)" in found["tls.mode"]
    assert "go on without encryption" in found["rest_tls.mode"]


def test_what_the_values_mean_together(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        f"""
        [bascule.storage]
        user = "app"
        dbname = "warehouse"
        password = "{SECRET}"
        passfile = "pgpass"
        [bascule.storage.tls]
        ca_file = "absent.pem"
        [bascule.storage.rest_tls]
        mode = "disable"
        """,
    )
    found = problems_of(path)
    assert set(found) == {"bascule.storage", "tls.ca_file", "rest_tls.mode", "passfile"}
    assert "nowhere to connect to; expected patroni" in found["bascule.storage"]
    assert found["tls.ca_file"] == f"expected a file; there is none at {tmp_path / 'absent.pem'}"
    assert found["passfile"].startswith("password is given too")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ('password_file = "absent"', "password_file .*absent cannot be read"),
        ('password_env = "BASCULE_TEST_ABSENT"', "BASCULE_TEST_ABSENT is not set"),
        ('passfile = "open"', "mode 0644; .*chmod 0600"),
        ('password = ""', "the password is empty"),
        ("", "no proof of who connects"),
    ],
)
def test_a_password_that_is_not_there(tmp_path: Path, source: str, words: str) -> None:
    (tmp_path / "open").write_text("")
    (tmp_path / "open").chmod(0o644)
    text = f'[bascule.storage]\nuser = "a"\ndbname = "d"\npatroni = ["http://db1:8008"]\n{source}\n'
    found = problems_of(written(tmp_path, text))
    assert list(found) == [source.partition(" ")[0] or "bascule.storage"]
    assert re.search(words, next(iter(found.values())))


@pytest.mark.parametrize(
    ("keys", "problems"),
    [
        ('user = "app"', {"user": "no password; expected password_file"}),
        (f'password = "{SECRET}"', {"password": "a password of nobody; expected user beside it"}),
        (
            f'user = "app"\npassword = "{SECRET}"\npassword_env = "E"',
            {"password_env": "password is given too"},
        ),
        (f'user = "app"\npassword = "{SECRET}\\n"', {"password": "has more than one line"}),
        (f'user = "app"\npassword_env = "{SECRET}"', {"password_env": "found something else"}),
        ('user = "app"\npassword_file = "absent"', {"password_file": "cannot be read"}),
        ('user = "app"\npasword = "x"', {"pasword": "did you mean password?"}),
        (f'user = 7\npassword = "{SECRET}"', {"user": "expected a text of one line"}),
    ],
)
def test_the_password_of_etcd(tmp_path: Path, keys: str, problems: dict[str, str]) -> None:
    text = (
        '[bascule.storage]\nuser = "a"\ndbname = "d"\npassword = "x"\npatroni = ["http://db1:8008"]\n'
        f'[bascule.storage.dcs]\nendpoints = ["http://etcd1:2379"]\nscope = "eds"\n{keys}\n'
    )
    with pytest.raises(ConfigError) as caught:
        load_config(written(tmp_path, text))
    assert SECRET not in str(caught.value)
    if "password =" in keys:  # it is a Secret from the moment that the file was read
        assert SECRET not in report_of(caught.value)
    found = {p.key.removeprefix("bascule.storage.dcs."): p.words for p in caught.value.problems}
    assert found.keys() == problems.keys()
    for key, words in problems.items():
        assert words in found[key]


def test_the_password_of_etcd_is_in_no_repr() -> None:
    dcs = Dcs(endpoints=("http://etcd1:2379",), scope="eds", user="app", password=SECRET)
    config = StorageConfig(credentials=CREDENTIALS, members=(MEMBER,), dcs=dcs)
    assert SECRET not in repr(dcs) + repr(config) + repr(dcs.password)
    assert dcs.resolve().reveal() == SECRET


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[bascule\n", "no valid TOML: .*line 1"),
        (b'[bascule.storage]\npassword = "hunter2', "no valid TOML: Unterminated"),
        (b"a = 1\xff", "expected UTF-8; found another byte at 5"),
        (b"a = " + b"[" * 5000, "nested too deeply"),
        (b"a = " + b"1" * 5000, "too many digits"),
        (b"", r"expected a table \[bascule.storage\]; the file has no table"),
        (b"[bascule.storag]\n", r"did you mean \[bascule.storag\]\?"),
        (b"[tool.x]\n[y]\n", "it has tool, tool.x or y"),
        (b"bascule = 3\n", r"expected a table \[bascule.storage\]"),
    ],
)
def test_a_file_that_has_no_section(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "bascule.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=words) as caught:
        load_config(path)
    assert "hunter2" not in report_of(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for path, words in ((tmp_path / "absent", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(ConfigError, match=f"cannot be read: {words}"):
            load_config(path)


def test_a_literal_password_stays_hidden_in_every_frame(tmp_path: Path) -> None:
    text = f'[bascule.storage]\nuser = 3\npassword = "{SECRET}"\n'
    with pytest.raises(ConfigError) as caught:
        load_config(written(tmp_path, text))
    report = report_of(caught.value)
    assert "values = {'user': 3" in report
    assert SECRET not in report


@pytest.mark.parametrize(
    "make",
    [
        lambda: StorageSettings(deadline_s=0),
        lambda: StorageSettings(deadline_s=math.inf),
        lambda: StorageSettings(durability="async"),  # type: ignore[arg-type]
        lambda: StorageSettings(sessions_max=0),
        lambda: StorageSettings(statement_timeout_s=-1),
        lambda: StorageSettings(prefer_site=""),
        lambda: StorageSettings(circuit_after=None),  # type: ignore[arg-type]
    ],
)
def test_settings_out_of_range(make: Callable[[], StorageSettings]) -> None:
    with pytest.raises(ConfigError, match=r"StorageSettings: [a-z_]+: expected"):
        make()


def test_a_config_made_in_code() -> None:
    config = StorageConfig(credentials=CREDENTIALS, members=(MEMBER,))
    assert config.settings == StorageSettings()
    with pytest.raises(ConfigError, match="nowhere to connect to"):
        StorageConfig(credentials=CREDENTIALS)
    with pytest.raises(ConfigError, match=r"members\[1\].name: db-a is there twice"):
        StorageConfig(credentials=CREDENTIALS, members=(MEMBER, MEMBER))
    with pytest.raises(ConfigError, match=r"patroni\[0\]: expected an address"):
        replace(config, patroni=("db1:8008",))
    with pytest.raises(ConfigError, match="endpoints: expected one or more"):
        Dcs(endpoints=(), scope="warehouse")


def test_https_to_patroni(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "absent"))
    config = StorageConfig(credentials=CREDENTIALS, members=(MEMBER,))
    with pytest.raises(ConfigError, match="system's authorities are not in SSL_CERT_FILE"):
        config.rest_ssl_context()
    unverified = replace(config, rest_tls=Tls(mode="require"))
    assert not unverified.rest_ssl_context().check_hostname


def test_a_dsn() -> None:
    uri = "postgresql://app:hunt%20er@{host}:{port}/db?sslmode=verify-ca&sslrootcert=/etc/ca.pem"
    config = from_dsn(f"{uri}&application_name=loader", endpoints=ENDPOINTS)
    assert config.credentials == Credentials(
        user="app",
        password="hunt er",
        dbname="db",
        application_name="loader",
        tls=Tls(mode="verify-ca", ca_file=Path("/etc/ca.pem")),
    )
    assert config.patroni == tuple(ENDPOINTS)
    assert "hunt" not in repr(config)


def test_a_dsn_in_keywords_with_the_password_elsewhere() -> None:
    words = "host={host} port={port} user=app dbname=db"
    settings = StorageSettings(deadline_s=5)
    for given, expected in {
        words: None,
        f"{words} sslrootcert=system": Tls(),
        f"{words} sslmode=require": Tls(mode="require"),
        f"{words} sslmode=disable": Tls(mode="disable"),
        f"{words} sslcert=c sslkey=k": Tls(cert_file=Path("c"), key_file=Path("k")),
    }.items():
        config = from_dsn(given, ENDPOINTS, password_env="APP_PASSWORD", settings=settings)
        assert config.credentials == Credentials(
            user="app", dbname="db", password_env="APP_PASSWORD", tls=expected
        )
        assert config.settings is settings
    by_passfile = from_dsn(f"{words} passfile=~/.pgpass", ENDPOINTS).credentials
    assert by_passfile.passfile == Path.home() / ".pgpass"


@pytest.mark.parametrize(
    ("dsn", "words"),
    [
        (
            f"postgresql://app:{SECRET}@db1:5432/db",
            ["host: expected {host}", "port: expected {port}"],
        ),
        (f"postgresql://app:{SECRET}@{{host}}/db", ["port: expected {port}"]),
        (f"postgresql://:{SECRET}@{{host}}:{{port}}", ["user: missing", "dbname: missing"]),
        (
            f"postgresql://app:{SECRET}@{{host}}:{{port}}/db?sslmode=prefer&connect_timeout=3&sslcrl=x",
            ["sslmode: expected disable", "connect_deadline_s", "sslcrl: not taken from a DSN"],
        ),
        (
            f"postgresql://app:{SECRET}@{{host}}:{{port}}/db?sslmod=require",
            ["no connection string"],
        ),
        (f"postgresql://app:{SECRET}@{{host:{{port}}/db", ["host: expected {host}"]),
        (f"password={SECRET} host", ["no connection string"]),
        (f"password={SECRET}\0", ["no connection string"]),
        ("postgresql://app@{host}:{port}/db", ["no proof of who connects"]),
        (
            f"postgresql://app:{SECRET}@{{host}}:{{port}}/db?sslmode=require&sslrootcert=x",
            ["looks at no authority"],
        ),
        (
            f"postgresql://app:{SECRET}@{{host}}:{{port}}/db?passfile=/x",
            ["passfile: password is given too"],
        ),
    ],
)
def test_a_wrong_dsn(dsn: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        from_dsn(dsn, endpoints=ENDPOINTS)
    for word in words:
        assert word in str(caught.value)
    assert len(caught.value.problems) == len(words)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
