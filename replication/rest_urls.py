"""Addresses of HTTP interfaces (Patroni's REST API, etcd), as people write them. Pure."""

from __future__ import annotations

from urllib.parse import urlsplit

EXPECTED_URL = "an address as https://db1:8008, without user, password or path"


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
