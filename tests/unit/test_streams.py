"""What commands print: nothing of a letter reaches a terminal that the terminal would obey."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from typing import Any

import typer
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.cli.output import print_json, print_table
from daemon.cli.streams import guarded_streams

_OBEYED = st.characters(categories=["Cc", "Cf", "Zl", "Zp"])
_TEXTS = st.text(st.one_of(st.characters(), _OBEYED))


def shown(value: Any) -> str:
    """The value as JSON, on stdout."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="")
    with redirect_stdout(out), guarded_streams():
        print_json(value)
    out.seek(0)
    return out.read()


@settings(deadline=None)
@given(value=st.recursive(_TEXTS, lambda inner: st.dictionaries(_TEXTS, inner) | st.lists(inner)))
def test_json_is_harmless_and_the_same(value: Any) -> None:
    """Controls, bidi marks, halves of pairs and whatever nobody can see are escaped; the document
    is one, and says the same."""
    text = shown(value)
    assert json.loads(text) == value
    assert text.replace("\n", "").isprintable()
    assert all(letter in text for letter in "æøå" if isinstance(value, str) and letter in value)


@settings(deadline=None)
@given(title=_TEXTS)
def test_plain_text_is_harmless(title: str) -> None:
    """So it is in a table, and in a line that forgot to take care."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="")
    with redirect_stdout(out), guarded_streams():
        typer.echo(f"title: {title}")
        print_table(("title",), [[title]])
    out.seek(0)
    found = set(out.read()) - {"\n", "\t"}
    assert not {
        letter
        for letter in found
        if letter < " " or "\x7f" <= letter <= "\x9f" or letter in "\u061c\u200e\u200f\u2028\u2029"
    }
    assert not {
        letter
        for letter in found
        if "\u202a" <= letter <= "\u202e" or "\u2066" <= letter <= "\u2069"
    }


def test_names_stay_readable() -> None:
    """What people write is not escaped."""
    assert '"Sør-Ødals blåbær — 日本"' in shown("Sør-Ødals blåbær — 日本")
