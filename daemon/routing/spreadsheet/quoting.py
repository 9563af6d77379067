"""Several values in one cell, and the quotation marks around them.

A comma, a semicolon or a line break separates values, unless it stands between quotation marks.
Word and Excel curl quotation marks, and other programs double them; each kind is understood.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

from daemon.core.folding import readable

_DOUBLE = '"\u201c\u201d\u201e\u201f\u00ab\u00bb\u2033'
_SINGLE = "'\u2018\u2019\u201a\u201b\u2039\u203a"
_SEPARATORS = ",;\r\n"
_ENDS = rf"[^\S\r\n]*(?=[{_SEPARATORS}]|\Z)"
_WRITTEN = re.compile(r'"(?:[^"\\\x00-\x1f]|\\["\\/nrt]|\\u[0-9A-Fa-f]{4})*"')
"""As `quoted` writes it: the quotation marks and the escapes of JSON."""
_DOUBLED = re.compile(rf"[{_DOUBLE}]{{2}}([^{_DOUBLE}]*)[{_DOUBLE}]{{2}}(?={_ENDS})")
_TYPED = re.compile(rf'[{_DOUBLE}]((?:[^{_DOUBLE}]|"")*?)[{_DOUBLE}](?![{_DOUBLE}])(?={_ENDS})')
_TYPED_SINGLE = re.compile(rf"[{_SINGLE}]([^{_SINGLE}]*)[{_SINGLE}](?={_ENDS})")
_UNTIL_SEPARATOR = re.compile(rf"[^{_SEPARATORS}]*")
_END = re.compile(_ENDS)
_SCIENTIFIC = re.compile(rf"[0-9]+(?:[.,][0-9]+E\+?|E\+)[0-9]+(?={_ENDS})", re.IGNORECASE)

_MONTHS = "jan|feb|mar|apr|mai|may|jun|jul|aug|sep|okt|oct|nov|des|dec"
_FORMULA = re.compile(r"^[=+\-@]")
_NUMBERLIKE = re.compile(
    rf"(?=.*\d)(?:[\d.,:;/\\\-+ %()€$£'*]|(?:{_MONTHS})\w*|kr|nok|usd|eur|am|pm|e)+", re.IGNORECASE
)
_NINE_DIGITS = re.compile(r"[1-9][0-9]{8}")
_TRUTH = re.compile(r"true|false|sann|usann", re.IGNORECASE)
_LOST = re.compile(r"^$|[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_NO_XML = re.compile(r"_x[0-9A-Fa-f]{4}_|[\x7f-\x9f\ufffe\uffff]")


def _as_json(found: re.Match[str]) -> str:
    return str(json.loads(found[0]))


def _as_typed(found: re.Match[str]) -> str:
    return found[1].replace('""', '"')


def _inside(found: re.Match[str]) -> str:
    return found[1]


_KINDS = (
    (_WRITTEN, _as_json),
    (_DOUBLED, _inside),
    (_TYPED, _as_typed),
    (_TYPED_SINGLE, _inside),
)
"""The ways in which a value can be quoted, and how to get at it; the first that fits counts."""


class Unreadable(ValueError):
    """A cell that does not fit its column: what is wrong, and the remedy."""

    def __init__(self, problem: str, remedy: str) -> None:
        self.problem, self.remedy = problem, remedy
        super().__init__(problem)


def quoted(text: str, *, among_others: bool) -> str:
    """Return the text, in JSON's quotes if a spreadsheet or `unquoted` would change it.

    With `among_others`, `split` must give it back.
    """
    if _NINE_DIGITS.fullmatch(text):
        return text  # an organisation number is unchanged as a number
    if (
        text[:1] in {*_DOUBLE, *_SINGLE, ""}
        or readable(text) != text
        or (among_others and set(text) & set(_SEPARATORS))
        or any(
            found(text)
            for found in (
                _FORMULA.search,
                _NUMBERLIKE.fullmatch,
                _TRUTH.fullmatch,
                _LOST.search,
                _NO_XML.search,
            )
        )
    ):
        return _escaped(text)
    return text


def guarded(text: str) -> str:
    """Return a text that is not read as a value, in JSON's quotes only if it looks like a formula.

    Excel would run it.
    """
    return _escaped(text) if _FORMULA.search(text) or text.startswith('"') else text


def without_guard(text: str) -> str:
    """Return the text that `guarded` was given."""
    found = _WRITTEN.fullmatch(text)
    return _as_json(found) if found and guarded(_as_json(found)) == text else text


def _escaped(text: str) -> str:
    written = json.dumps(text, ensure_ascii=False)
    # a person's "\bmva" is a regular expression, so a backspace has its number
    written = re.sub(r"(?<!\\)((?:\\\\)*)\\b", r"\1\\u0008", written)
    written = re.sub(r"(?<!\\)((?:\\\\)*)\\f", r"\1\\u000c", written)
    return _NO_XML.sub(lambda found: f"\\u{ord(found[0][0]):04x}{found[0][1:]}", written)


def unquoted(text: str, tidy: Callable[[str], str] = readable) -> str:
    """Return the one value in a cell, without its quotation marks.

    Without any it is `tidy`, by default without invisible characters and with single blanks.
    Raises Unreadable for a quotation mark that is not closed.
    """
    text = text.strip()
    for kind, value in _KINDS:
        if found := kind.fullmatch(text):
            return value(found)
    _refuse_unclosed(text)
    return tidy(text)


def split(text: str) -> list[str]:
    """Return the values in a cell, without their quotation marks.

    Raises Unreadable for a quotation mark that is not closed, and for a number in scientific
    notation, whose comma does not separate two values.
    """
    return list(_values(text))


def _values(text: str) -> Iterator[str]:
    place = 0
    while place < len(text):
        if text[place] in _SEPARATORS or text[place].isspace():
            place += 1
            continue
        value, place = _value_at(text, place)
        yield value


def _value_at(text: str, place: int) -> tuple[str, int]:
    if found := _SCIENTIFIC.match(text, place):
        raise Unreadable(
            f"Excel has turned this into a number: {found[0]}",
            "Format the cell as text, and enter the value again",
        )
    for kind, value in _KINDS:
        found = kind.match(text, place)
        if found and _END.match(text, found.end()):
            return value(found), found.end()
    found = _UNTIL_SEPARATOR.match(text, place)
    assert found is not None  # it matches the empty text too
    _refuse_unclosed(found[0])
    return readable(found[0]), found.end()


def _refuse_unclosed(text: str) -> None:
    if text[:1] and text[0] in _DOUBLE and not set(text[1:]) & set(_DOUBLE):
        raise Unreadable(
            f"a quotation mark is not closed: {text}", "Close it, or remove it from the cell"
        )
