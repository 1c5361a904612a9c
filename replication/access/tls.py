"""How a connection is encrypted, and how each side authenticates the other. Paths and rules, no
secrets."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn, get_args

from replication.access.problems import ConfigError, Problem, one_of, refuse_if

TlsMode = Literal["disable", "require", "verify-ca", "verify-full"]
"""libpq's ``sslmode`` (PostgreSQL manual, "SSL Support"), without ``allow`` and ``prefer``: these
go on without encryption when an attacker on the way answers that the server has none."""

MODES: tuple[TlsMode, ...] = get_args(TlsMode)

SYSTEM_CA_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # Fedora, RHEL
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",  # Alpine, macOS
)
"""Where distributions keep the authorities that they trust."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """TLS 1.2 or later, to PostgreSQL or to Patroni's REST API.

    The files are read when a connection is made: a certificate that was renewed is used by the
    next one.

    Args:
        mode: ``verify-full`` accepts only a certificate of a trusted authority that names the host
            that was asked for; ``verify-ca`` does not look at the name; ``require`` encrypts and
            checks nothing, so it does not protect against an attacker on the way; ``disable`` is
            no TLS.
        ca_file: the authorities to trust, PEM. ``"system"``: those of the machine, which are
            accepted only with ``verify-full``.
        cert_file, key_file: the certificate that proves who we are, and its key; PEM, the key not
            encrypted and readable to its owner alone (libpq refuses it otherwise).

    Raises:
        ConfigError: these do not go together.
    """

    mode: TlsMode = "verify-full"
    ca_file: Path | Literal["system"] = "system"
    cert_file: Path | None = None
    key_file: Path | None = None

    def __post_init__(self) -> None:
        refuse_if("Tls", _problems(self))

    def ca_path(self) -> Path:
        """The file with the authorities to trust.

        Raises:
            ConfigError: the system's are asked for, and none of the usual places has them.
        """
        return system_ca_file() if self.ca_file == "system" else Path(self.ca_file)

    def ssl_context(self) -> ssl.SSLContext:
        """For HTTPS, to Patroni; reads the files now.

        Raises:
            ConfigError: the mode is ``disable``, or a file cannot be used.
        """
        if self.mode == "disable":
            words = "expected a mode with TLS: the address begins with https"
            raise ConfigError("Tls", [Problem(key="mode", words=words)])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.check_hostname = self.mode == "verify-full"
        context.verify_mode = ssl.CERT_NONE if self.mode == "require" else ssl.CERT_REQUIRED
        if self.mode != "require":
            path = self.ca_path()
            try:
                context.load_verify_locations(cafile=path)
            except OSError as error:  # ssl.SSLError is one
                raise _unusable("ca_file", path, error) from error
        if self.cert_file is not None:
            try:
                context.load_cert_chain(self.cert_file, self.key_file, password=_no_password)
            except (OSError, ValueError) as error:
                raise _unusable("cert_file", self.cert_file, error) from error
        return context


def system_ca_file() -> Path:
    """The authorities that this machine trusts, in one file.

    libpq's own ``sslrootcert=system`` asks the OpenSSL that it was built with, and the one in
    psycopg's wheels looks in a folder that does not exist.

    Raises:
        ConfigError: neither ``SSL_CERT_FILE`` nor a usual place has them.
    """
    named = os.environ.get("SSL_CERT_FILE")
    for candidate in [named] if named else SYSTEM_CA_FILES:
        if Path(candidate).is_file():
            return Path(candidate)
    places = f"SSL_CERT_FILE ({named})" if named else one_of(SYSTEM_CA_FILES)
    words = f"the system's authorities are not in {places}; name a file"
    raise ConfigError("Tls", [Problem(key="ca_file", words=words)])


def _problems(tls: Tls) -> Iterator[Problem]:
    if tls.mode not in MODES:
        yield Problem(key="mode", words=f"expected {one_of(MODES)}; found {tls.mode}")
    if tls.mode == "verify-ca" and tls.ca_file == "system":
        words = (
            "verify-ca needs a ca_file of your own: anybody has a certificate of some authority"
            " that the system trusts; name a file, or use verify-full"
        )
        yield Problem(key="ca_file", words=words)
    if tls.mode in ("disable", "require") and tls.ca_file != "system":
        words = f"mode {tls.mode} looks at no authority; use verify-full, or leave ca_file out"
        yield Problem(key="ca_file", words=words)
    if (tls.cert_file is None) != (tls.key_file is None):
        absent, present = ("cert_file", "key_file")[:: 1 if tls.cert_file is None else -1]
        yield Problem(key=absent, words=f"missing key; {present} is given, and needs it")
    if tls.mode == "disable" and tls.cert_file is not None:
        words = "without TLS no certificate is shown; use verify-full, or leave cert_file out"
        yield Problem(key="cert_file", words=words)


def _no_password() -> NoReturn:
    """Gives no password; otherwise OpenSSL would ask on the terminal."""
    raise ValueError("its key is encrypted; expected one that is not")


def _unusable(key: str, path: Path, error: Exception) -> ConfigError:
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
    return ConfigError("Tls", [Problem(key=key, words=f"{path} cannot be used: {reason}")])
