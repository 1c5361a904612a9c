"""Where the members are: addresses of PostgreSQL, and of HTTP interfaces as people write them.

``discovery`` and ``membership`` find the members; ``watch`` finds which of them is the primary.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from replication.wire import Address

EXPECTED_URL = "an address as https://db1:8008, without user, password or path"
"""What ``base_url`` takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A PostgreSQL of the cluster: where its Patroni answers, and where it takes connections.

    ``site``: where it stands, if that is known; reads prefer their own site, and durability
    ``all_sites`` counts by it.
    """

    name: str
    rest_url: str
    host: str
    port: int
    site: str | None = None

    @property
    def address(self) -> Address:
        """Where it takes connections."""
        return Address(node=self.name, host=self.host, port=self.port)


def base_url(text: str) -> str:
    """``text`` as scheme, host and port.

    Raises:
        ValueError: it is something else; the text says what was expected, and does not show
            ``text``, which may have a password in it.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(f"expected {EXPECTED_URL}") from None
    is_bare = parts.path in ("", "/") and not (parts.query or parts.fragment)
    is_named = parts.scheme in ("http", "https") and bool(parts.hostname) and port != 0
    is_plain = text.isascii() and text.isprintable() and not any(c in text for c in "@ ")
    if not (is_bare and is_named and is_plain):
        raise ValueError(f"expected {EXPECTED_URL}")
    return f"{parts.scheme}://{parts.netloc}"
