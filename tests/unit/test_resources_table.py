"""A table of resources is written into the configuration's text, and nothing else changes."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from daemon.config.resources_table import resources_block, with_resources
from daemon.core.errors import OperatorError

ROOT = Path(__file__).parents[2]
TABLE = {"4255/8": ["skatt-a", "skatt-b"], "4255/10": ["adm"]}
SECTIONS = """\
# The store
[store]
database = "x"   # kept

[mailbox.altinn]        # the mailbox
type = "altinn3"
resources = "auto"      # or a table
parties = [             # all of them
    "910075918",
]
# the last comment of the section

# A comment of the next one
[destination.erp]
type = "filedrop"
"""


def lines_of(text: str) -> list[str]:
    return text.splitlines()


def test_the_table_comes_after_its_section() -> None:
    """The old line becomes a comment, every other line stays, and the comments of the next section
    stay with it."""
    changed = with_resources(SECTIONS, "altinn", TABLE)
    wanted = tomllib.loads(SECTIONS)
    wanted["mailbox"]["altinn"]["resources"] = TABLE
    assert tomllib.loads(changed) == wanted
    lines = lines_of(changed)
    assert [each for each in lines_of(SECTIONS) if each not in lines] == [
        'resources = "auto"      # or a table'
    ]
    assert '# resources = "auto"      # or a table' in lines
    assert lines.index("[mailbox.altinn.resources]") < lines.index("# A comment of the next one")
    assert lines[lines.index("# A comment of the next one") + 1] == "[destination.erp]"


def test_again_changes_only_the_rows() -> None:
    """A second time, the table's rows are replaced and its comments stay; the same table again
    changes nothing."""
    first = with_resources(SECTIONS, "altinn", TABLE)
    assert with_resources(first, "altinn", TABLE) == first
    commented = first.replace('"4255/10" = ["adm"]', '# by hand\n"4255/10" = [\n  "adm",  # one\n]')
    second = with_resources(commented, "altinn", {"4255/1": ["plan"]})
    assert tomllib.loads(second)["mailbox"]["altinn"]["resources"] == {"4255/1": ["plan"]}
    assert "# by hand" in lines_of(second)
    assert "# A comment of the next one" in lines_of(second)


@pytest.mark.parametrize(
    "text",
    [
        SECTIONS.replace("\n", "\r\n"),
        SECTIONS.replace('resources = "auto"      # or a table\n', ""),
        SECTIONS.replace('resources = "auto"', 'resources = { "4255/8" = ["old"] }'),
        SECTIONS.replace(
            'resources = "auto"', "resources.'4255/8' = ['old']\nresources.'4255/9' = ['x']"
        ),
        SECTIONS.replace("[mailbox.altinn]", '["mailbox" . altinn ]'),
        SECTIONS.partition("# the last comment")[0].rstrip("\n"),
        SECTIONS + "[mailbox.altinn.retention]\nx = 1\n",
        '[mailbox.altinn.resources]\n"4255/1" = ["x"]\n'
        + SECTIONS.replace('resources = "auto"', "#"),
        SECTIONS.replace("[mailbox.altinn]", "[[recipient]]\nname = 'x'\n[mailbox.altinn]"),
        (ROOT / "config/postmottak.example.toml").read_text(encoding="utf-8"),
    ],
    ids=[
        "windows", "none", "inline", "dotted", "spaces", "end", "sub", "before", "array",
        "example",
    ],
)  # fmt: skip  # one line for the names
def test_however_it_is_written(text: str) -> None:
    """The values are as before but for the table, no comment is lost, and the newlines are the
    file's own."""
    changed = with_resources(text, "altinn", TABLE)
    wanted = tomllib.loads(text)
    wanted["mailbox"]["altinn"]["resources"] = TABLE
    assert tomllib.loads(changed) == wanted
    comments = [each for each in lines_of(text) if each.startswith("#")]
    assert [each for each in comments if each not in lines_of(changed)] == []
    assert ("\r\n" in text) == ("\r\n" in changed)
    assert changed.count("\n") == changed.count("\r\n") or "\r\n" not in changed


@pytest.mark.parametrize(
    "text",
    [
        'mailbox.altinn = { type = "altinn3" }\n',
        '[mailbox]\naltinn = { type = "altinn3" }\n',
        '[mailbox]\naltinn.type = "altinn3"\n',
        SECTIONS.replace('database = "x"', 'database = """\n[mailbox.altinn]\nx = 1\n"""'),
    ],
)
def test_where_there_is_no_section_nothing_is_guessed(text: str) -> None:
    """A mailbox that is not written as a section, or a text that looks like one, is refused, with
    what to write."""
    with pytest.raises(
        OperatorError, match=r"(?s)write them yourself.*\[mailbox.altinn.resources\]"
    ):
        with_resources(text, "altinn", TABLE)


def test_a_mailbox_with_an_odd_name() -> None:
    """A name that needs quotes is written with quotes, here and in the block."""
    text = '[mailbox."min post"]\ntype = "altinn3"\n'
    assert '[mailbox."min post".resources]' in with_resources(text, "min post", TABLE)
    assert resources_block("altinn", {"4255/1": ["a"]}) == (
        '[mailbox.altinn.resources]\n"4255/1" = ["a"]\n'
    )
