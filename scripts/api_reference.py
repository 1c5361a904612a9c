"""Writes docs/reference/api.md: the public names of ``replication``, signatures and docstrings.

``python scripts/api_reference.py`` writes it, ``--check`` says whether it is fresh. A public name
that is in no group here, or that has no docstring, is an error: the page is whole or not written.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import griffe
from api_markdown import call, called, default, field_meanings, sections_of, table

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "api.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A section of the page. ``names``: public names, or methods of one (``Storage.run``)."""

    title: str
    words: str
    names: tuple[str, ...]
    members: bool = True
    """Methods and properties are listed too; of settings nobody calls them."""


GROUPS = (
    Group(
        title="Opening",
        words="`async with open_storage(load_config('bascule.toml')) as storage:` is the way in.",
        names=("open_storage", "load_config", "from_dsn", "Storage"),
    ),
    Group(
        title="Running",
        words=(
            "What these promise, failure by failure: [transactions.md](../use/transactions.md)."
            " `Query` is a literal, or made with `psycopg.sql`; `Params` are those of psycopg. What"
            " each `Durability` promises: [there](../use/transactions.md#durability)."
        ),
        names=(
            *("Storage.run", "Storage.unit_of_work", "UnitOfWork"),
            *("Transaction", "Transaction.execute", "Result"),
            *(
                "Storage.outcome",
                "Storage.connection",
                "Storage.session",
                "Durability",
                "Isolation",
            ),
        ),
    ),
    Group(
        title="Reading",
        words=(
            "Why no clock of a server is trusted: [0009](../decisions/0009-reads-and-staleness.md)."
        ),
        names=("Storage.read", "Read", "Token"),
    ),
    Group(
        title="Reading much",
        words=(
            "What a stream promises, and what it costs: [reading-much.md](../use/reading-much.md)."
        ),
        names=("Storage.read_stream", "Storage.read_arrow_stream", "StreamOptions", "ReadStream"),
    ),
    Group(title="Results", words="", names=("Applied", "Outcome")),
    Group(
        title="From synchronous code",
        words=(
            "The same from threads: the function runs in the thread that calls. With SQLAlchemy:"
            " [sqlalchemy.md](../use/sqlalchemy.md)."
        ),
        names=("SyncStorage", "SyncTransaction", "SyncReadStream", "SyncUnitOfWork"),
    ),
    Group(
        title="Settings",
        words="The same as keys of a TOML file, with their ranges: [settings.md](settings.md).",
        names=("StorageConfig", "StorageSettings", "Credentials", "Tls", "Dcs", "Member"),
        members=False,
    ),
    Group(
        title="Observing",
        words=(
            'Logging (`logging.getLogger("replication")`) is always on. Everything else is an'
            " observer: a function that is called in the event loop with one event and must not"
            " block."
        ),
        names=("Storage.observe", "Storage.primary"),
    ),
)

HEAD = """# API reference of `replication`

The names that `from replication import ...` has. Written by `scripts/api_reference.py` from the
signatures and docstrings; a test holds it fresh. First time here? [storage.md](../use/storage.md).
"""

ERRORS_HEAD = """
## Errors

Catch by the answer that you need: a class answers for all that are indented below it.
"""

EFFECT = {
    "StorageError": "see below",
    "NotApplied": "no",
    "Unknown": "nobody knows",
    "NotDurable": "yes",
    "AlreadyApplied": "yes, by another call",
    "ReadFailed": "it was a read",
}
"""Did it take effect? What is not here answers as its base does."""

EVENTS_HEAD = """
### Events

Import them from `replication.observability.events`. None carries SQL, parameters or secrets.

"""


class Reference:
    """The package as griffe sees it, and the page made of it."""

    def __init__(self) -> None:
        self._package = griffe.load(
            "replication",
            search_paths=[ROOT],
            docstring_parser="google",
            docstring_options={"warnings": False},
        )
        self._public = [str(name) for name in self._package.exports or []]
        self._errors = [name for name in self._public if self._is_error(name)]
        self._anchors = {
            name: re.sub(r"[^\w]", "", name.lower()) for group in GROUPS for name in group.names
        } | dict.fromkeys(self._errors, "errors")

    def page(self) -> str:
        """The whole page.

        Raises:
            ValueError: a public name has no place, or no docstring.
        """
        placed = {name.split(".")[0] for group in GROUPS for name in group.names}
        homeless = sorted(set(self._public) - placed - set(self._errors))
        if homeless:
            raise ValueError(f"put into GROUPS of scripts/api_reference.py: {', '.join(homeless)}")
        parts = [HEAD, self._contents()]
        for group in GROUPS:
            parts.append(f"\n## {group.title}\n")
            if group.words:
                parts.append(f"\n{group.words}\n")
            for name in group.names:
                parts += ["\n", *(f"{line}\n" for line in self._entry(name, group))]
            if group.title == "Results":
                parts += [ERRORS_HEAD, *(f"{line}\n" for line in self._error_lines())]
        parts += [EVENTS_HEAD, *(f"{line}\n" for line in self._event_lines())]
        return "".join(parts)

    def _contents(self) -> str:
        lines = ["\n"]
        for group in GROUPS:
            links = " · ".join(self._link(f"``{name}``") for name in group.names)
            lines.append(f"- **{group.title}**: {links}\n")
            if group.title == "Results":
                lines.append("- **[Errors](#errors)**\n")
        return "".join(lines)

    def _find(self, name: str) -> griffe.Object | griffe.Alias:
        """A public name, or a member of one."""
        found: griffe.Object | griffe.Alias = self._package
        for part in name.split("."):
            found = found[part]
            if isinstance(found, griffe.Alias):
                found = found.final_target
        return found

    def _is_error(self, name: str) -> bool:
        found = self._find(name)
        if not isinstance(found, griffe.Class):
            return False
        bases = {str(base) for base in found.bases}
        return bool(bases & {"Exception", "ValueError"}) or any(map(self._is_error_base, bases))

    def _is_error_base(self, base: str) -> bool:
        return base in self._public and self._is_error(base)

    def _entry(self, name: str, group: Group) -> Iterator[str]:
        """One name: heading, signature, words, arguments, returns, raises."""
        found = self._find(name)
        yield f"### `{name}`"
        yield ""
        if isinstance(found, griffe.Attribute) and "property" not in found.labels:
            value = str(found.value).replace(
                "'", '"'
            )  # as ruff has it, which formats this page too
            yield from ("```python", f"{name} = {value}", "```")
            return
        sections = sections_of(found, name)
        signature = self._signature(name, found, sections)
        if signature:
            yield from ("```python", *signature, "```", "")
        yield from self._text(sections)
        yield from self._parameters(found, sections)
        yield from self._returns(sections)
        yield from self._raises(sections)
        if isinstance(found, griffe.Class) and group.members:
            yield from self._members(found)

    def _signature(
        self,
        name: str,
        found: griffe.Object | griffe.Alias,
        sections: Sequence[griffe.DocstringSection],
    ) -> list[str]:
        """Of a function; of a class only where somebody is meant to call it."""
        if isinstance(found, griffe.Function):
            shown = called(name)
            entered = re.fullmatch(r"AsyncIterator\[(\w+)\]", str(found.returns))
            if entered:
                shown = f"async with {shown}"
                arrow = f" as {entered[1].lower()}:"
            else:
                shown = f"await {shown}" if "async" in found.labels else shown
                arrow = f" -> {found.returns}"
            return call(shown, found.parameters, arrow)
        has_arguments = any(isinstance(one, griffe.DocstringSectionParameters) for one in sections)
        if isinstance(found, griffe.Class) and "dataclass" not in found.labels and has_arguments:
            return call(name, found.parameters, "")
        return []

    def _text(self, sections: Iterable[griffe.DocstringSection]) -> Iterator[str]:
        for section in sections:
            if isinstance(section, griffe.DocstringSectionText):
                yield from (self._linked(line) for line in section.value.splitlines())
                yield ""

    def _parameters(
        self,
        found: griffe.Object | griffe.Alias,
        sections: Sequence[griffe.DocstringSection],
    ) -> Iterator[str]:
        """A table: the name, its type, its default, what it means."""
        meanings: dict[str, str] = {}
        for section in sections:
            if isinstance(section, griffe.DocstringSectionParameters):
                for one in section.value:
                    names = one.name.split(", ")
                    meanings[names[0]] = one.description
                    meanings |= dict.fromkeys(names[1:], f"see ``{names[0]}``")
        if isinstance(found, griffe.Class) and "dataclass" in found.labels:
            meanings = field_meanings(found) | meanings
        elif not meanings:
            return
        assert isinstance(found, griffe.Class | griffe.Function)
        given = [one for one in found.parameters if one.name != "self"]
        has_defaults = any(one.default is not None for one in given)
        head = ["name", "type"]
        head += ["default"] if has_defaults else []
        head += ["meaning"] if meanings else []
        rows = []
        for one in given:
            cells = [f"`{one.name}`", self._type(str(one.annotation))]
            if has_defaults:
                cells.append("needed" if one.default is None else f"`{default(found, one)}`")
            if meanings:
                cells.append(self._linked(meanings.get(one.name, "")))
            rows.append(cells)
        yield from table(head, rows)
        yield ""

    def _returns(self, sections: Iterable[griffe.DocstringSection]) -> Iterator[str]:
        for section in sections:
            if isinstance(section, griffe.DocstringSectionReturns):
                for one in section.value:
                    kind = self._type(str(one.annotation))
                    yield f"Returns {kind}: {self._linked(one.description)}"
                    yield ""

    def _raises(self, sections: Iterable[griffe.DocstringSection]) -> Iterator[str]:
        for section in sections:
            if isinstance(section, griffe.DocstringSectionRaises):
                yield "Raises:"
                yield ""
                for one in section.value:
                    kind = self._link(f"``{one.annotation}``")
                    yield f"- {kind}: {self._linked(one.description)}"
                yield ""

    def _members(self, found: griffe.Class) -> Iterator[str]:
        """Methods and properties that have no entry of their own."""
        fields = {one.name for one in found.parameters} if "dataclass" in found.labels else set()
        for name, member in found.members.items():
            path = f"{found.name}.{name}"
            is_private = name.startswith("_") and name != "__call__"
            if path in self._anchors or name in fields or is_private:
                continue
            if isinstance(member, griffe.Alias) or member.docstring is None:
                continue
            shown = called(path).removesuffix(".__call__")
            if isinstance(member, griffe.Function):
                shown = f"await {shown}" if "async" in member.labels else shown
                shown = " ".join(call(shown, member.parameters, f" -> {member.returns}"))
            words = member.docstring.value.split("\n\n")[0]
            yield f"- `{shown}`: {self._linked(words)}"
        yield ""

    def _error_lines(self) -> Iterator[str]:
        yield ""
        rows = []
        for name, depth in self._error_tree("StorageError", 0):
            found = self._find(name)
            assert isinstance(found, griffe.Class)
            words = sections_of(found, name)[0].value
            rows.append(
                [
                    f"{'&emsp;' * depth}`{name}`",
                    self._effect(name),
                    self._linked(str(words).split("\n\n")[0]) + self._remedy(found),
                ]
            )
        yield from table(["error", "took effect?", "what happened, and what would help"], rows)
        yield ""
        yield "Fields of every `StorageError`:"
        yield ""
        root = self._find("StorageError")
        for section in sections_of(root, "StorageError"):
            if isinstance(section, griffe.DocstringSectionParameters):
                for one in section.value:
                    if one.name != "message":
                        yield f"- `{one.name}`: {self._linked(one.description)}"
        for name in self._errors:
            text = str(sections_of(self._find(name), name)[0].value)
            if "\n\n" in text and self._is_storage_error(name) and name != "StorageError":
                yield f"- {self._linked(text.split(chr(10) * 2)[1])} (`{name}` only)"
        yield ""
        yield "Beside the tree, because no unit of work was begun:"
        yield ""
        for name in self._errors:
            if not self._is_storage_error(name):
                words = sections_of(self._find(name), name)[0].value
                yield f"- `{name}`: {self._linked(str(words))}"

    def _error_tree(self, name: str, depth: int) -> Iterator[tuple[str, int]]:
        yield name, depth
        module = self._find("StorageError").module
        for child in module.members.values():  # in the order of the module
            if isinstance(child, griffe.Class) and name in map(str, child.bases):
                yield from self._error_tree(child.name, depth + 1)

    def _is_storage_error(self, name: str) -> bool:
        return name in {child for child, _ in self._error_tree("StorageError", 0)}

    def _effect(self, name: str) -> str:
        found = self._find(name)
        assert isinstance(found, griffe.Class)
        return EFFECT[name] if name in EFFECT else self._effect(str(found.bases[0]))

    def _remedy(self, found: griffe.Class) -> str:
        remedy = found.members.get("remedy")
        if not isinstance(remedy, griffe.Attribute) or str(remedy.value) == "None":
            return ""
        return f" *{ast.literal_eval(str(remedy.value))}.*"

    def _event_lines(self) -> Iterator[str]:
        rows = []
        for name, member in self._package["observability.events"].members.items():
            if isinstance(member, griffe.Class) and "dataclass" in member.labels:
                fields = [f"`{one.name}`" for one in member.parameters if one.name != "self"]
                words = str(sections_of(member, name)[0].value)
                rows.append([f"`{name}`", ", ".join(fields), self._linked(words)])
        yield from table(["event", "fields", "when"], rows)

    def _linked(self, text: str) -> str:
        """Prose of a docstring as Markdown on one line, its names linked."""
        return re.sub(r"``([^`]+)``", lambda found: self._link(found[0]), " ".join(text.split()))

    def _link(self, quoted: str) -> str:
        code = quoted.strip("`")
        head = code.split("(")[0]
        for name in (head, head.rpartition(".")[0]):
            if name in self._anchors:
                return f"[`{code}`](#{self._anchors[name]})"
        return f"`{code}`"

    def _type(self, annotation: str) -> str:
        """A type, linked to the first public name in it."""
        for word in re.findall(r"\w+", annotation):
            if word in self._anchors:
                return f"[`{annotation}`](#{self._anchors[word]})"
        return f"`{annotation}`"


def page() -> str:
    """The whole page."""
    text = Reference().page()
    return re.sub(r"\n{3,}", "\n\n", text).rstrip() + "\n"


def main() -> int:
    """Writes the page, or checks it."""
    if "--check" in sys.argv[1:]:
        return 0 if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page() else 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
