"""Faults that an operator can act on: the right line, the right key, and all of them at once."""

from __future__ import annotations

import tomllib
from datetime import date
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from daemon.config.faults import (
    FaultList,
    KeyLines,
    KeyPath,
    key_text,
    parse_toml,
    read_toml,
)
from daemon.config.loader import RoutingSettings
from daemon.core.errors import ConfigurationError, Fault
from daemon.core.spelling import did_you_mean

TEXT = """\
title = "x" # = [
# [comment]
[store]
database = "a" # ] it's "so
content = ["a", # [
  "b]",
  'c[', # it's
]
after = 1

[mailbox.altinn]
parties = [
  "1", "2",
  # [mailbox.other]
]
resources = { "4255/10" = ["x"] }
"quoted key" = 1
'single' . b = 2
text = '''
[not.a.section]
key = "no"
'''
other = \"\"\"one line\"\"\"
last = true

[[route]]
name = "a"
to = [["x"],
  ["y"]]
[[ route ]] # the second
name = "b"
[route.inner]
deep = 1
[[route.part]]
x = 1
[[route.part]]
x = 2
[ "a.b" . c ]
d.e.f = 1
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("title",), 1),
        (("store",), 3),
        (("store", "database"), 4),
        (("store", "content"), 5),
        (("store", "content", 1), 5),
        (("store", "after"), 9),
        (("mailbox", "altinn"), 11),
        (("mailbox", "altinn", "parties", 0), 12),
        (("mailbox", "altinn", "resources", "4255/10", 0), 16),
        (("mailbox", "altinn", "quoted key"), 17),
        (("mailbox", "altinn", "single", "b"), 18),
        (("mailbox", "altinn", "text"), 19),
        (("mailbox", "altinn", "other"), 23),
        (("mailbox", "altinn", "last"), 24),
        (("mailbox", "altinn", "missing"), 11),
        (("route",), 26),
        (("route", 0), 26),
        (("route", 0, "name"), 27),
        (("route", 0, "to", 1, 0), 28),
        (("route", 1), 30),
        (("route", 1, "name"), 31),
        (("route", 1, "inner", "deep"), 33),
        (("route", 1, "part", 0, "x"), 35),
        (("route", 1, "part", 1, "x"), 37),
        (("a.b", "c", "d", "e", "f"), 39),
        (("not", "a"), None),
        (("mailbox", "other"), None),
        (("nothing",), None),
        ((), None),
    ],
)
def test_the_line_of_a_key(path: KeyPath, line: int | None) -> None:
    """Each key is found in its line, and what has no line of its own in that of the nearest thing
    around it."""
    tomllib.loads(TEXT)
    assert KeyLines(TEXT).find(path) == line


@pytest.mark.parametrize("end", ["\u2028", "\x85"])
def test_only_a_line_feed_ends_a_line(end: str) -> None:
    """Characters that some programs take for the end of a line, and editors do not, leave the count
    alone."""
    text = f'a = "x{end}y"\nb = 1\n'
    tomllib.loads(text)
    assert KeyLines(text).find(("b",)) == 2


@pytest.mark.parametrize(
    "text",
    [
        'a = [1, """\n]\n[é]\n"""]\nb = 2\n',
        'a = """\\"""\n[é]\n"""\nb = 2\n',
        "a = [\"it's\", '''\n]]\n[é]\n''']\nb = 2\n",
        '["é [x]"]\nb = 2\n',
        '"a\\"b" = """\n[é]\n"""\nb = 2\n',
    ],
)
def test_strings_that_look_like_sections(text: str) -> None:
    """A text that only looks like a section, inside a string, does not make it fail."""
    tomllib.loads(text)
    assert KeyLines(text).find(("nothing",)) is None


CRUMBS = st.lists(
    st.sampled_from(["[é]", "[[x]]", "]", "}", "[", '"', "#", "x = 1", "\\"]), max_size=6
).map("\n".join)
STRINGS = st.one_of(
    CRUMBS.map(lambda text: f"'''\n{text}\n'''"),
    CRUMBS.map(lambda text: '"""\\"""\n' + text.replace('"', "").replace("\\", "\\\\") + '"""'),
    st.sampled_from(['"#["', "']'", '"\\"["', "''", '"""a"""', "1", "2026-12-21"]),
)
COMMENTS = st.sampled_from(["", " # ]", " # [[", " # it's \"", " # '''", ' # """'])
LISTS = st.lists(st.tuples(STRINGS, COMMENTS), max_size=3).map(
    lambda items: "[" + "".join(f"{item},{note}\n" for item, note in items) + "]"
)
KEYS = st.sampled_from(
    ["a", "b-1", "c.d", '"é [x]"', "'a.b'", '"a=b"', '"a\\"b"', "''.'[[é]]'", '"#"']
)
VALUES = st.one_of(STRINGS, LISTS, LISTS.map("{{ x = {} }}".format))
ROWS = st.one_of(
    st.builds("{} = {}{}".format, KEYS, VALUES, COMMENTS),
    KEYS.map("[{}] # [".format),
    KEYS.map("[[ {} ]]".format),
    COMMENTS,
)


def is_toml(text: str) -> bool:
    """Whether a TOML parser reads it."""
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


@given(st.lists(ROWS, max_size=4, unique_by=lambda row: row[:4]).map("\n".join))
def test_no_toml_breaks_the_search(text: str) -> None:
    """Whatever a TOML parser reads, a fault in it can be told; a line is one of the text's."""
    if is_toml(text):
        lines = KeyLines(text)
        found = [lines.find((key,)) for key in tomllib.loads(text)]
        assert all(line is None or 1 <= line <= text.count("\n") + 1 for line in found)


@given(
    st.lists(
        st.tuples(
            st.text("abc", min_size=1, max_size=8),
            st.sampled_from(["1", '"a]"', "[\n 1, # [\n 2]", '"""\n[x]\n"""']),
        ),
        min_size=1,
    )
)
def test_every_key_has_its_line(pairs: list[tuple[str, str]]) -> None:
    """However many lines the values take, each key is told with the line in which it stands."""
    text, expected = "", {}
    for number, (name, value) in enumerate(pairs):
        expected[f"{name}{number}"] = text.count("\n") + 1
        text += f"{name}{number} = {value}\n"
    lines = KeyLines(text)
    assert {key: lines.find((key,)) for key in expected} == expected


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("store",), "store"),
        (("mailbox", "altinn", "parties", 1), "mailbox.altinn.parties[2]"),
        (("route", 0, "to"), "route[1].to"),
    ],
)
def test_a_key_is_written_as_people_count(path: KeyPath, text: str) -> None:
    """Keys are written with dots, and lists counted from one."""
    assert key_text(path) == text


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("regnskp", "did you mean 'regnskap'?"),
        ("pst", "did you mean 'post'?"),
        ("zzz", ""),
        ("", ""),
    ],
)
def test_near_misses(word: str, hint: str) -> None:
    """A word that is nearly right is answered with the right one, and any other with nothing."""
    assert did_you_mean(word, ["regnskap", "post"]) == hint


class Inner(BaseModel):
    """A table in a table."""

    model_config = ConfigDict(extra="forbid")
    port: int = 1
    when: date | None = None


class Outer(BaseModel):
    """Values of all kinds."""

    model_config = ConfigDict(extra="forbid")
    name: str
    mode: Literal["fast", "safe"] = "safe"
    on: bool = True
    words: tuple[str, ...] = ()
    table: dict[str, str] = {}
    inner: Inner = Inner()
    rows: list[Inner] = []
    some: tuple[Literal["x", "y"], ...] = Field(default=("x",), min_length=1)


def faults_of(text: str) -> list[Fault]:
    """What is wrong with the text as an `Outer`."""
    found = FaultList("x.toml", text)
    found.validate(Outer, tomllib.loads(text), (), Path())
    return found.faults


@pytest.mark.parametrize(
    ("line", "key", "problem", "remedy"),
    [
        ("nmae = 1", "nmae", "'nmae' is not a known key here", "Did you mean 'name'?"),
        (
            "zzzzz = 1",
            "zzzzz",
            "'zzzzz' is not a known key here",
            "Known keys are: name, mode, on, words, table, inner, rows, some",
        ),
        (
            "inner = { prt = 1 }",
            "inner.prt",
            "'prt' is not a known key here",
            "Did you mean 'port'?",
        ),
        (
            "rows = [{ port = 1 }, { zz = 1 }]",
            "rows[2].zz",
            "'zz' is not a known key here",
            "Known keys are: port, when",
        ),
        (
            'mode = "slow"',
            "mode",
            "'slow' is not a valid value here",
            "Use one of: 'fast' or 'safe'",
        ),
        (
            'inner = { port = "x" }',
            "inner.port",
            "must be a whole number",
            "Write a number without quotes",
        ),
        ('on = "perhaps"', "on", "", ""),
        ("words = 3", "words", "must be a list", 'Write it in brackets: ["…", "…"]'),
        ("words = [3]", "words[1]", "must be text in quotes", 'Write it as "…"'),
        ('some = ["x", "z"]', "some[2]", "'z' is not a valid value here", "Use one of: 'x' or 'y'"),
        ('some = ["z"]', "some[1]", "'z' is not a valid value here", "Use one of: 'x' or 'y'"),
        ("some = []", "some", "is empty", "Write at least one"),
        ("table = 3", "table", "must be a table", 'Write it as a table: { "…" = … }'),
    ],
)
def test_what_is_wrong_and_what_to_write(line: str, key: str, problem: str, remedy: str) -> None:
    """Each kind of mistake is told with its line, its key, what is wrong and what to write."""
    (fault,) = faults_of(f'name = "x"\n{line}\n')
    assert (fault.file, fault.line, fault.key) == ("x.toml", 2, key)
    assert fault.problem.startswith(problem)
    assert fault.remedy.startswith(remedy)
    assert fault.problem
    assert fault.remedy


def test_every_fault_is_told_at_once() -> None:
    """One look shows everything that is wrong, each in its own line."""
    text = 'zz = 1\nmode = "slow"\non = [1]\n\n[inner]\nport = "x"\n'
    assert {(fault.key, fault.line) for fault in faults_of(text)} == {
        ("zz", 1),
        ("mode", 2),
        ("on", 3),
        ("inner.port", 6),
        ("name", None),
    }


def test_faults_are_raised_together_and_read_well() -> None:
    """All faults come in one error, one line each, with place, key, problem and remedy."""
    found = FaultList("x.toml", "a = 1\n")
    found.raise_if_any()
    found.add(("a",), "is wrong", "Fix it")
    found.unknown(("b", "x"), "regnskp", ("regnskap",), "recipient")
    found.unknown(("c", 1), "zzz", ("regnskap", "post"), "recipient")
    with pytest.raises(ConfigurationError) as caught:
        found.raise_if_any()
    assert str(caught.value).splitlines() == [
        "x.toml:1: a: is wrong. Fix it",
        "x.toml: b.x: 'regnskp' is not a known recipient. Did you mean 'regnskap'?",
        "x.toml: c[2]: 'zzz' is not a known recipient. Use one of: regnskap, post",
    ]


def test_numbers_out_of_bounds() -> None:
    """A number that is too great or too small is said with the bound, in our own words."""
    for number, bound in ((2, "at most 1"), (-1, "at least 0")):
        found = FaultList("x.toml", f"approvals = {number}\n")
        found.validate(RoutingSettings, {"approvals": number}, (), Path())
        problems = {fault.key: fault.problem for fault in found.faults}
        assert problems["approvals"] == f"must be {bound}"


@pytest.mark.parametrize(
    ("text", "line"),
    [("a = 1\nb = \n", 2), ("a = 1\na = 2\n", 2), ("[a]\n[a]\n", 2), ("x = [1,\n", None)],
)
def test_text_that_is_no_toml(text: str, line: int | None) -> None:
    """A mistake of writing is told with its line."""
    with pytest.raises(ConfigurationError) as caught:
        parse_toml(text, "x.toml")
    (fault,) = caught.value.faults
    assert fault.problem.startswith("this is not valid TOML: ")
    if line:
        assert fault.line == line


def test_a_file_is_read_with_its_text(tmp_path: Path) -> None:
    """The text of a file comes with what it says."""
    (tmp_path / "x.toml").write_text('a = "å"\n', encoding="utf-8")
    assert read_toml(tmp_path / "x.toml") == ('a = "å"\n', {"a": "å"})


@pytest.mark.parametrize(("content", "words"), [(None, "no such file"), (b"\xff", "not in UTF-8")])
def test_a_file_that_cannot_be_read(tmp_path: Path, content: Any, words: str) -> None:
    """A file that is missing or in another encoding is a fault that names it."""
    path = tmp_path / "x.toml"
    if content:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=words) as caught:
        read_toml(path)
    assert caught.value.faults[0].file == str(path)
