"""What stands between an application and the members: HAProxy and PgBouncer, as values.

HAProxy asks Patroni's REST API of every member who leads and who follows. PgBouncer does not look:
it leads to the HAProxy that is nearest. Both are roles of hosts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from cluster.errors import Problem

ProxyRole = Literal["haproxy", "pgbouncer"]
"""The roles of hosts that clients can go through."""
PROXY_ROLES: tuple[ProxyRole, ...] = get_args(ProxyRole)
PROXY_NAMES: Mapping[str, str] = {"haproxy": "HAProxy", "pgbouncer": "PgBouncer"}
"""As people write them. The role is also the name of the program, and of its Debian package."""
PoolMode = Literal["transaction", "session"]
"""PgBouncer's ``pool_mode``: how long a client keeps the server that it was given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxySettings:
    """How the proxies of a topology are configured. The defaults of HAProxy are those of Patroni's
    own template (``haproxy.cfg`` of its repository)."""

    check_interval_s: int = 3
    """HAProxy's ``inter``: between two questions to a member."""
    check_fall: int = 3
    """HAProxy's ``fall``: so many wrong answers in a row, and the member gets no new connection."""
    check_rise: int = 2
    """HAProxy's ``rise``: so many right ones, and it does again."""
    shutdown_sessions: bool = True
    """HAProxy's ``on-marked-down shutdown-sessions``: what is connected to such a member is cut.
    Without it sessions stay on a primary that is none any more."""
    pool_mode: PoolMode = "transaction"
    login_retry_s: int = 15
    """PgBouncer's ``server_login_retry``, and its default: so long it waits after a login that
    failed, as all do while nobody leads (pgbouncer.org, config)."""


PLAIN_PROXIES = ProxySettings()
CHECK_INTERVAL_S_MAX = 60
CHECKS_MAX = 10
LOGIN_RETRY_S_MAX = 600


def proxy_delay_s(settings: ProxySettings, through: ProxyRole) -> float | None:
    """How long after a promotion clients are led to the new primary, at the latest; None: nobody
    can say, since their sessions stay where they are. Pure.

    Args:
        settings: of the proxies.
        through: which one clients go through.
    """
    if not settings.shutdown_sessions:
        return None
    known_s = settings.check_interval_s * settings.check_rise
    return known_s + (settings.login_retry_s if through == "pgbouncer" else 0)


def problems_of_proxies(
    settings: ProxySettings, *, haproxy: int, pgbouncer: int
) -> Iterator[Problem]:
    """What is wrong with the proxies of a topology. Pure.

    Args:
        settings: how they are configured.
        haproxy: how many hosts have the role.
        pgbouncer: likewise.
    """
    for key, value, highest in (
        ("check_interval_s", settings.check_interval_s, CHECK_INTERVAL_S_MAX),
        ("check_fall", settings.check_fall, CHECKS_MAX),
        ("check_rise", settings.check_rise, CHECKS_MAX),
        ("login_retry_s", settings.login_retry_s, LOGIN_RETRY_S_MAX),
    ):
        if not 1 <= value <= highest:
            words = f"expected a number from 1 to {highest}; found {value}"
            yield Problem(key=f"proxies.{key}", words=words)
    if pgbouncer and not haproxy:
        yield Problem(
            key="site",
            words="hosts have the role pgbouncer and none has haproxy: PgBouncer does not ask who "
            "leads, so it needs a HAProxy to lead to; give a host the role haproxy too",
        )
    if settings != PLAIN_PROXIES and not haproxy:
        words = "no host has the role haproxy or pgbouncer: there is nothing to configure"
        yield Problem(key="proxies", words=words)
