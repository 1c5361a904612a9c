"""A real PostgreSQL that speaks another language.

The wheel's is built without translations, so this one is the system's; its words come with Debian's
package, the locales have to be generated.
"""

from __future__ import annotations

import gettext
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.postgres.local_postgres import LocalPostgres
from support.postgres.tls_postgres import system_bindir

LANGUAGES = {"fr": "fr_FR.UTF-8", "de": "de_DE.UTF-8", "ja": "ja_JP.UTF-8"}
"""French and German as the issue's users have them; Japanese, where even the order is another."""


@contextmanager
def speaking(language: str, folder: Path) -> Iterator[LocalPostgres]:
    """Started, and stopped at the end; it says everything in ``language``, from its start on."""
    locale = LANGUAGES[language]
    require(language)
    server = LocalPostgres(
        folder, name=f"db-{language}", programs=system_bindir(), settings={"lc_messages": locale}
    )
    server.create()
    try:
        server.start()
        assert server.query("SHOW lc_messages") == [(locale,)]
        yield server
    finally:
        server.stop()


def require(language: str) -> None:
    """See to it that a server can speak ``language`` here.

    Raises:
        AssertionError: names what is missing, and the remedy.
    """
    locale = LANGUAGES[language]
    known = subprocess.run(
        ["locale", "-a"], capture_output=True, text=True, timeout=10, check=True
    ).stdout.lower()
    assert locale.lower().replace("utf-8", "utf8") in known, (
        f"these tests need the locale {locale}: apt-get install locales &&"
        f" localedef -i {locale.partition('.')[0]} -f UTF-8 {locale}"
    )
    version = system_bindir().parent.name
    assert gettext.find(f"postgres-{version}", "/usr/share/locale", [language]), (
        f"these tests need the words of PostgreSQL {version} in {language}:"
        f" apt-get install postgresql-{version}, without excluding /usr/share/locale"
    )
