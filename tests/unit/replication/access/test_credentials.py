"""Credentials and TLS as values: what goes together, where it is read, what is never seen."""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import trustme
from psycopg.conninfo import conninfo_to_dict

from replication.access.credentials import (
    Credentials,
    CredentialsError,
    Secret,
    check_passfile,
    read_password_env,
    read_password_file,
)
from replication.access.problems import ConfigError
from replication.access.tls import Tls, TlsMode
from replication.config.settings import StorageConfig
from replication.patroni.members import Member
from replication.storage import Storage
from replication.wire import Address
from replication.wire.conninfo import conninfo

SECRET = "hunter2-unmistakable"
ADDRESS = Address(node="db-a", host="db1", port=5432)
CERTIFICATE = Tls(cert_file=Path("c.pem"), key_file=Path("k.pem"))


def written(folder: Path, content: bytes) -> Path:
    path = folder / "password"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "content",
    [
        b"s e\xc3\xa9cret ",
        b"s e\xc3\xa9cret \n",
        b"s e\xc3\xa9cret \r\n",
        b"\xef\xbb\xbfs e\xc3\xa9cret \r\n",
    ],
)
def test_a_password_file_has_one_line(tmp_path: Path, content: bytes) -> None:
    assert read_password_file(written(tmp_path, content)).reveal() == "s eécret "


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"hunter2\nhunter3\n", "more than one line"),
        (b"hunter2\0", "null character"),
        (b"hunter2\xff", "is not UTF-8"),
        (b"h" * 1025, "more than 1024 bytes"),
        (b"h" * 100_000, "more than 1024 bytes"),
    ],
)
def test_what_is_no_password_is_refused_and_not_shown(
    tmp_path: Path, content: bytes, words: str
) -> None:
    with pytest.raises(CredentialsError, match=words) as caught:
        read_password_file(written(tmp_path, content))
    assert caught.value.source == str(tmp_path / "password")
    assert "hunter" not in str(caught.value)
    assert "hhh" not in str(caught.value)


def test_a_password_file_may_be_as_long_as_allowed(tmp_path: Path) -> None:
    assert len(read_password_file(written(tmp_path, b"h" * 1024 + b"\r\n")).reveal()) == 1024


@pytest.mark.parametrize("read", [read_password_file, check_passfile])
def test_a_source_that_is_no_file(tmp_path: Path, read: Callable[[Path], object]) -> None:
    with pytest.raises(CredentialsError, match="No such file"):
        read(tmp_path / "absent")
    with pytest.raises(CredentialsError, match="no ordinary file"):
        read(tmp_path)
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(CredentialsError, match="no ordinary file"):
        read(tmp_path / "pipe")


def test_a_passfile_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = written(tmp_path, b"\xef\xbb\xbf*:*:*:*:hunter2\n")
    path.chmod(0o600)
    with pytest.raises(CredentialsError, match=r"byte order mark.*: take it out"):
        check_passfile(path)


@pytest.mark.parametrize("mode", [0o640, 0o620, 0o610, 0o604, 0o602, 0o601])
def test_a_passfile_that_others_may_use(tmp_path: Path, mode: int) -> None:
    path = written(tmp_path, b"*:*:*:*:hunter2\n")
    path.chmod(mode)
    with pytest.raises(CredentialsError, match=rf"mode {mode:04o}; .*\(chmod 0600") as caught:
        check_passfile(path)
    assert "hunter2" not in str(caught.value)
    for good in (0o600, 0o400):
        path.chmod(good)
        check_passfile(path)


def test_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("APP_PASSWORD", raising=False)
    with pytest.raises(CredentialsError, match="APP_PASSWORD is not set"):
        read_password_env("APP_PASSWORD")
    monkeypatch.setenv("APP_PASSWORD", "")
    with pytest.raises(CredentialsError, match="APP_PASSWORD is empty"):
        read_password_env("APP_PASSWORD")
    monkeypatch.setenv("APP_PASSWORD", SECRET)
    assert read_password_env("APP_PASSWORD").reveal() == SECRET


def test_sources_are_read_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path, b"one\n")
    by_file = Credentials(user="u", dbname="d", password_file=file)
    assert by_file.resolve() == Secret("one")
    file.write_bytes(b"two\n")
    assert by_file.resolve() == Secret("two")
    by_env = Credentials(user="u", dbname="d", password_env="APP_PASSWORD")
    for value in ("one", "two"):
        monkeypatch.setenv("APP_PASSWORD", value)
        assert by_env.resolve() == Secret(value)
    assert Credentials(user="u", dbname="d", tls=CERTIFICATE).resolve() is None
    assert Credentials(user="u", dbname="d", password="x").resolve() == Secret("x")


def test_one_source_at_most() -> None:
    with pytest.raises(ConfigError) as caught:
        Credentials(
            user="u", dbname="d", password=SECRET, password_env="X", passfile=Path("p"), tls=None
        )
    assert [problem.key for problem in caught.value.problems] == ["password_env", "passfile"]
    assert "password is given too" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_some_proof_is_needed() -> None:
    for tls in (None, Tls(), Tls(mode="disable")):
        with pytest.raises(ConfigError, match="no proof of who connects"):
            Credentials(user="u", dbname="d", tls=tls)


@pytest.mark.parametrize("password", ["", "hunter2\n", "hun\0ter2"])
def test_a_password_that_can_be_none(password: str) -> None:
    with pytest.raises(ConfigError, match=r"the password (is empty|has more)") as caught:
        Credentials(user="u", dbname="d", password=password)
    assert "hunter" not in repr(caught.value)


def test_the_password_is_in_no_repr_of_what_holds_it() -> None:
    credentials = Credentials(user="u", password=SECRET, dbname="d")
    member = Member(name="db-a", rest_url="http://db1:8008", host="db1", port=5432)
    config = StorageConfig(credentials=credentials, members=(member,))
    storage = Storage([member], credentials)
    holders = [credentials, credentials.password, config, storage, asdict(config), vars(storage)]
    for holder in holders:
        assert SECRET not in f"{holder!r} {holder!s} {[holder]}"
    assert SECRET not in json.dumps(asdict(config), default=str)
    assert "password" not in repr(credentials)
    assert credentials.resolve() == Secret(SECRET)
    assert credentials == Credentials(user="u", password=Secret(SECRET), dbname="d")
    assert credentials != Credentials(user="u", password="other", dbname="d")


def test_the_connection_string_says_everything_that_matters() -> None:
    password = r"""it's a \ "pass" word=é"""
    given = conninfo_to_dict(
        conninfo(ADDRESS, Credentials(user="u", password="-", dbname="d"), Secret(password), {})
    )
    assert given["password"] == password
    assert (given["host"], given["port"], given["user"], given["dbname"]) == (
        "db1",
        "5432",
        "u",
        "d",
    )
    assert (given["require_auth"], given["sslmode"]) == ("scram-sha-256", "disable")
    assert (given["gssencmode"], given["target_session_attrs"]) == ("disable", "any")
    assert "-c client_min_messages=warning" in str(given["options"])
    assert not Path(str(given["passfile"])).exists()


def test_the_connection_string_with_a_certificate_alone(tmp_path: Path) -> None:
    tls = Tls(ca_file=tmp_path, cert_file=Path("c.pem"), key_file=Path("k.pem"))
    credentials = Credentials(user="u", dbname="d", tls=tls)
    given = conninfo_to_dict(conninfo(ADDRESS, credentials, None, {}))
    assert (given["password"], given["require_auth"]) == ("", "none")
    assert (given["sslcert"], given["sslkey"], given["sslcertmode"]) == ("c.pem", "k.pem", "allow")
    assert (given["sslmode"], given["sslrootcert"]) == ("verify-full", str(tmp_path))
    assert given["ssl_min_protocol_version"] == "TLSv1.2"


@pytest.mark.parametrize(
    ("make", "key", "words"),
    [
        (lambda: Tls(mode="prefer"), "mode", "expected disable, require, verify-ca or verify-full"),
        (lambda: Tls(mode="verify-ca"), "ca_file", "a ca_file of your own"),
        (lambda: Tls(mode="require", ca_file=Path("x")), "ca_file", "looks at no authority"),
        (lambda: Tls(mode="disable", ca_file=Path("x")), "ca_file", "looks at no authority"),
        (lambda: Tls(cert_file=Path("c")), "key_file", "cert_file is given, and needs it"),
        (lambda: Tls(key_file=Path("k")), "cert_file", "key_file is given, and needs it"),
        (
            lambda: Tls(mode="disable", cert_file=Path("c"), key_file=Path("k")),
            "cert_file",
            "without TLS no certificate is shown",
        ),
    ],
)
def test_what_does_not_go_together(make: Callable[[], Tls], key: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        make()
    assert [problem.key for problem in caught.value.problems] == [key]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    certificate = authority.issue_cert("db1")
    paths = {name: folder / f"{name}.pem" for name in ("ca", "cert", "key")}
    authority.cert_pem.write_to_path(paths["ca"])
    certificate.cert_chain_pems[0].write_to_path(paths["cert"])
    certificate.private_key_pem.write_to_path(paths["key"])
    return paths


@pytest.mark.parametrize(
    ("mode", "checks_name", "verifies"),
    [
        ("verify-full", True, ssl.CERT_REQUIRED),
        ("verify-ca", False, ssl.CERT_REQUIRED),
        ("require", False, ssl.CERT_NONE),
    ],
)
def test_the_context_for_https(
    files: dict[str, Path], mode: TlsMode, checks_name: bool, verifies: ssl.VerifyMode
) -> None:
    tls = Tls(
        mode=mode,
        ca_file="system" if mode == "require" else files["ca"],
        cert_file=files["cert"],
        key_file=files["key"],
    )
    context = tls.ssl_context()
    assert (context.check_hostname, context.verify_mode) == (checks_name, verifies)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert len(context.get_ca_certs()) == (0 if mode == "require" else 1)


def test_a_context_that_cannot_be(files: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="begins with https"):
        Tls(mode="disable").ssl_context()
    with pytest.raises(ConfigError, match=r"ca_file: .*absent cannot be used: No such file"):
        Tls(ca_file=tmp_path / "absent").ssl_context()
    with pytest.raises(ConfigError, match=r"cert_file: .* cannot be used"):
        Tls(ca_file=files["ca"], cert_file=files["ca"], key_file=files["key"]).ssl_context()


def test_an_encrypted_key_is_refused_not_asked_about(
    files: dict[str, Path], tmp_path: Path
) -> None:
    key = tmp_path / "encrypted.pem"
    header = "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\n"
    begin, _, rest = files["key"].read_text().partition("\n")
    key.write_text(f"{begin}\n{header}{rest}")
    with pytest.raises(ConfigError, match="its key is encrypted"):
        Tls(ca_file=files["ca"], cert_file=files["cert"], key_file=key).ssl_context()
