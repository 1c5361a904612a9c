"""Who connects to what, and with which proof. Secrets are in no repr."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Who connects to what. The password is in no repr."""

    user: str
    password: str = field(repr=False)
    dbname: str
    application_name: str = "bascule"
