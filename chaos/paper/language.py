"""The words of the paper in a language, and how it writes numbers, durations and dates. Pure but
for reading the words, which are data of the package (``words-<code>.toml``)."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from importlib.resources import files

LANGUAGES = ("fr", "en")
"""The first is the default: the texts that the paper cites first are French."""

NO_BREAK = "\u00a0"
MINUTE_S, HOUR_S, DAY_S = 60, 3_600, 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """A language with its words, by ``section.key``."""

    code: str
    words: Mapping[str, str]

    def say(self, key: str, **fields: object) -> str:
        """The words of ``key``, with its fields filled in."""
        return self.words[key].format(**fields)

    def counted(self, key: str, number: int) -> str:
        """``number`` with the noun ``count.<key>``; French has the singular for 0 too."""
        return self.plural(f"count.{key}", number)

    def plural(self, key: str, number: int) -> str:
        """The words ``<key>_one`` or ``<key>_many``, with ``number``."""
        is_one = number <= 1 if self.code == "fr" else number == 1
        return self.say(f"{key}_{'one' if is_one else 'many'}", number=self.whole(number))

    def joined(self, parts: Sequence[str]) -> str:
        """``a``, ``a and b``, ``a, b and c``."""
        if len(parts) <= 1:
            return "".join(parts)
        return f"{', '.join(parts[:-1])} {self.words['language.and']} {parts[-1]}"

    def whole(self, number: int) -> str:
        """``5,812``; ``5 812`` with a space that does not break."""
        mark = self.words["language.thousands"].replace(" ", "\u202f")
        return f"{number:,}".replace(",", mark)

    def duration(self, value_s: float) -> str:
        """``340 ms``, ``22.4 s``, ``3 min 20 s``, ``4 h 30 min``, ``2 d 6 h``; ``0 s``."""
        day = "j" if self.code == "fr" else "d"
        if value_s == 0:
            parts = ["0 s"]
        elif value_s < 1:
            parts = [f"{max(round(value_s * 1000), 1)} ms"]
        elif value_s < 2 * MINUTE_S:
            tenths = f"{value_s:.1f}".removesuffix(".0")
            parts = [f"{tenths.replace('.', self.words['language.decimal'])} s"]
        elif value_s < 2 * HOUR_S:
            parts = _two(round(value_s), MINUTE_S, "min", "s")
        elif value_s < 2 * DAY_S:
            parts = _two(round(value_s / MINUTE_S), 60, "h", "min")
        else:
            parts = _two(round(value_s / HOUR_S), 24, day, "h")
        return " ".join(parts).replace(" ", NO_BREAK)

    def date(self, day: date) -> str:
        """``27 November 2026``; ``1er décembre 2026``."""
        months = self.words["language.months"].split()
        number = self.words["language.first_day"] if day.day == 1 else str(day.day)
        words = self.say("language.date", day=number, month=months[day.month - 1], year=day.year)
        return words.replace(" ", NO_BREAK)

    def moment(self, started_at: str) -> str:
        """Of a run: its date and time in UTC; a text that is no time stands as it is."""
        moment = day_and_time(started_at)
        if moment is None:
            return started_at
        time = f"{moment:%H:%M}"
        if self.code == "fr":
            time = f"{moment:%H}{NO_BREAK}h{NO_BREAK}{moment:%M}"
        return self.say("language.moment", date=self.date(moment.date()), time=time)


def day_and_time(started_at: str) -> datetime | None:
    """The moment of an RFC 3339 text, in UTC; None: it is none."""
    try:
        moment = datetime.fromisoformat(started_at)
    except ValueError:
        return None
    return None if moment.utcoffset() is None else moment.astimezone(UTC)


@cache
def language_of(code: str) -> Language:
    """One of ``LANGUAGES``."""
    text = files("chaos.paper").joinpath(f"words-{code}.toml").read_text(encoding="utf-8")
    words = {
        f"{section}.{key}": unbreakable(value) if code == "fr" else value
        for section, table in tomllib.loads(text).items()
        for key, value in table.items()
    }
    return Language(code=code, words=words)


def unbreakable(text: str) -> str:
    """French text whose spaces before ; : ! ? and inside of « » do not break."""
    text = re.sub(r" (?=[;:!?»])", NO_BREAK, text)
    return re.sub(r"(?<=«) ", NO_BREAK, text)


def _two(units: int, size: int, larger: str, smaller: str) -> list[str]:
    """``units`` of the smaller unit as both, without a zero of the smaller."""
    whole, rest = divmod(units, size)
    return [f"{whole} {larger}", *([f"{rest} {smaller}"] if rest else [])]
