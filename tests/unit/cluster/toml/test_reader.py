"""The reader of TOML: each kind of mistake is told with its place, what was expected and found."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import Problem, TopologyError, describe
from cluster.toml.reader import TomlDocument, TomlTable, one_of, quote, read_text


def opened(text: str) -> TomlDocument:
    return TomlDocument(text, "mine.toml", TopologyError)


def refusal_of(document: TomlDocument) -> str:
    with pytest.raises(TopologyError) as caught:
        document.settle()
    return str(caught.value)


def read_all(root: TomlTable) -> None:
    """Ask for one key of every kind."""
    root.line("line")
    root.name("name")
    root.text("text")
    root.flag("flag")
    root.integer("integer", minimum=1)
    root.number("number", minimum=0.5, maximum=10)
    root.choice("choice", ("red", "green"))
    root.choices("choices", ("red", "green"))
    root.table("table").flag("inner")
    for table in root.tables("tables"):
        table.flag("inner")


GOOD = """
line = "A line, with ünïcode"
name = "a-name-1"
text = "two\\nlines"
flag = false
integer = 1
number = 10
choice = "green"
choices = ["green", "red"]
table = {inner = true}
tables = [{inner = true}, {inner = false}]
"""


def test_what_is_right_is_returned() -> None:
    document = opened(GOOD)
    root = document.root
    assert root.line("line") == "A line, with ünïcode"
    assert root.name("name") == "a-name-1"
    assert root.text("text") == "two\nlines"
    assert root.flag("flag") is False
    assert root.integer("integer", minimum=1) == 1
    assert root.number("number", minimum=0.5, maximum=10) == 10.0
    assert root.choice("choice", ("red", "green")) == "green"
    assert root.choices("choices", ("red", "green")) == ("green", "red")
    assert root.table("table").flag("inner") is True
    assert [table.flag("inner") for table in root.tables("tables")] == [True, False]
    document.settle()


def test_every_missing_key_is_told_at_once() -> None:
    document = opened("")
    read_all(document.root)
    lines = refusal_of(document).splitlines()
    assert lines[0] == "mine.toml: 10 problems"
    assert lines[1] == "  line: missing key; expected a text of one line, 1 to 200 characters"
    assert lines[9] == "  table: missing key; expected a table [table]"
    assert lines[10] == "  tables: missing key; expected one or more tables [[tables]]"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("line = 3", "line: expected a text of one line, 1 to 200 characters; found 3"),
        ('line = ""', 'line: expected a text of one line, 1 to 200 characters; found ""'),
        ('line = "a\\nb"', 'found "a\\nb"'),
        (f'line = "{"x" * 201}"', f'found "{"x" * 39}…'),
        ('name = "Paris"', "digits and hyphens that begins with a letter"),
        ('name = "1a"', 'found "1a"'),
        ('name = "a-"', "does not end with a hyphen"),
        (f'name = "{"a" * 33}"', "at most 32 characters"),
        ("text = 1979-05-27", "text: expected a text; found 1979-05-27"),
        ("flag = 1", "flag: expected true or false; found 1"),
        ("flag = {}", "flag: expected true or false; found a table"),
        ("integer = 1.0", "integer: expected a whole number from 1 on; found 1.0"),
        ("integer = true", "integer: expected a whole number from 1 on; found true"),
        ("integer = 0", "integer: expected a whole number from 1 on; found 0"),
        ("number = nan", "number: expected a number from 0.5 to 10; found nan"),
        ("number = inf", "number: expected a number from 0.5 to 10; found inf"),
        ("number = true", "number: expected a number from 0.5 to 10; found true"),
        ("number = 0.4", "number: expected a number from 0.5 to 10; found 0.4"),
        ('choice = "geen"', 'choice: expected red or green; found "geen" (did you mean green?)'),
        ("choice = [3]", "choice: expected red or green; found [3]"),
        ('choices = "red"', 'choices: expected a list with red or green; found "red"'),
        ("choices = []", "choices: expected a list with red or green; found []"),
        ('choices = ["red", 3]', "choices[1]: expected red or green; found 3"),
        ('choices = ["red", "red"]', 'choices[1]: expected each word once; found "red"'),
        ("table = 3", "table: expected a table [table]; found 3"),
        ("table = [{}]", "table: expected a table [table]; found a list of tables"),
        ("tables = {}", "tables: expected one or more tables [[tables]]; found a table"),
        ("tables = []", "tables: expected one or more tables [[tables]]; found []"),
        ("tables = [{inner = true}, {}]", "tables[1].inner: missing key; expected true or false"),
        ("table = {inner = 1}", "table.inner: expected true or false; found 1"),
    ],
)
def test_a_wrong_value_is_the_only_problem(line: str, words: str) -> None:
    key = line.partition(" ")[0]
    others = [good for good in GOOD.splitlines() if good.partition(" ")[0] != key]
    document = opened("\n".join([*others, line]))
    read_all(document.root)
    message = refusal_of(document)
    assert message.startswith(f"mine.toml: {key}")
    assert "\n" not in message
    assert words in message


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("lime", "lime: unknown key; did you mean line?"),
        ("Flag", "Flag: unknown key; did you mean flag?"),
        ("zzz", "zzz: unknown key; expected choice, choices, flag, integer, line"),
        ('"a b"', '"a b": unknown key'),
    ],
)
def test_an_unknown_key_names_the_nearest(key: str, words: str) -> None:
    document = opened(f"{key} = 1\n{GOOD}")
    read_all(document.root)
    assert refusal_of(document).startswith(f"mine.toml: {words}")


def test_a_misspelt_key_is_not_also_missing() -> None:
    document = opened("flga = true")
    document.root.flag("flag")
    assert refusal_of(document) == "mine.toml: flga: unknown key; did you mean flag?"


def test_problems_come_in_the_order_of_the_tables() -> None:
    document = opened("[[a]]\nb = [{c = 1}]\n[[a]]\nb = [{c = 2}]")
    for outer in document.root.tables("a"):
        for inner in outer.tables("b"):
            inner.flag("c")
    lines = refusal_of(document).splitlines()[1:]
    assert [line.split(":")[0].strip() for line in lines] == ["a[0].b[0].c", "a[1].b[0].c"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a = \n", "line 1, column 5: no valid TOML: Invalid value"),
        ("a = 1\na = 2\n", "line 2, column 6: no valid TOML: Cannot overwrite a value"),
        ("[a\n", "line 1, column 3: no valid TOML"),
        ('a = "x', "end of document: no valid TOML"),
        (f"a = {'[' * 5000}", "nested too deeply"),
        (f"a = {'9' * 5000}", "no valid TOML: a number has too many digits"),
    ],
)
def test_what_is_no_toml_is_told_with_its_place(text: str, words: str) -> None:
    with pytest.raises(TopologyError) as caught:
        opened(text)
    assert str(caught.value).startswith(f"mine.toml: {words}")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    latin = tmp_path / "latin.toml"
    latin.write_bytes("é".encode("latin-1"))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for path, words in [
        (tmp_path / "none.toml", "there is no such file"),
        (tmp_path, "expected a file; found a folder"),
        (pipe, "expected an ordinary file"),
        (latin, "expected UTF-8; found 0xe9 at byte 0"),
        (loop, "cannot be read: Too many levels of symbolic links"),
        (tmp_path / ("a" * 300), "cannot be read: File name too long"),
        (Path("a\0b"), "cannot be read: "),
    ]:
        with pytest.raises(TopologyError) as caught:
            read_text(path, TopologyError)
        assert str(caught.value).startswith(f"{path}: {words}")


def test_a_byte_order_mark_is_overlooked(tmp_path: Path) -> None:
    path = tmp_path / "bom.toml"
    path.write_bytes(b"\xef\xbb\xbfa = 1")
    assert read_text(path, TopologyError) == "a = 1"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_quoted_text_is_read_back(text: str) -> None:
    assert opened(f"a = {quote(text)}").root.text("a") == text


def test_one_problem_is_one_line() -> None:
    problem = Problem(key="a.b", words="wrong")
    assert describe("f", [problem]) == "f: a.b: wrong"
    assert describe("f", [problem, problem]) == "f: 2 problems\n  a.b: wrong\n  a.b: wrong"


def test_a_choice_in_words() -> None:
    words = [one_of([]), one_of(["a"]), one_of(["a", "b"]), one_of(["a", "b", "c"])]
    assert words == ["nothing", "a", "a or b", "a, b or c"]
