"""Encode header texts so that a reader decodes exactly what was written, blanks included.

Python's own folding loses or adds blanks where it breaks a header into encoded words (such as
python/cpython#92081), differently in each version. So a text that is not short and plain ASCII
becomes encoded words here, which never depend on where a line ends.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from email.policy import EmailPolicy
from typing import Any

_TEXTS = frozenset({"subject", "x-postmottak-service"})
_ADDRESSES = frozenset({"from", "to"})
_END = "\r\n"
_LONGEST_LINE = 76
_LONGEST_WORD = 75
"""The length of a line with encoded words, and of an encoded word; RFC 2047, section 2."""
_BREAKS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_PLAIN = re.compile(r"[!-~]+(?: [!-~]+)*")
_LEGIBLE = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!*+-/.,:;()[]{}'"
)
"""The characters that the Q encoding leaves unchanged."""


def header_text(text: str) -> str:
    """Return the text on one line.

    Line breaks and control characters become blanks, and half a surrogate pair becomes U+FFFD.
    """
    return _BREAKS.sub(" ", text).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def folded_text(name: str, text: str) -> str:
    """Return the header with its line ends, in ASCII.

    A text that every reader understands is left unchanged; others become encoded words.
    """
    line = f"{name}: {text}"
    if len(line) > _LONGEST_LINE or "=?" in text or not _PLAIN.fullmatch(text):
        line = f"{name}: " + f"{_END} ".join(_encoded_words(text, len(name) + 2))
    return f"{line}{_END}"


def folded_addresses(name: str, addresses: str) -> str:
    """Return the header with its line ends, one address on a line.

    The addresses have passed `is_mail_address`, with `, ` between them. Python's own parser fails
    at some of them, such as those that begin with a dot.
    """
    return f"{name}: {addresses.replace(', ', f',{_END} ')}{_END}"


class MailPolicy(EmailPolicy):
    """The policy of the mails that are sent.

    Texts and addresses are folded as above, and everything else as Python does it.
    """

    def header_store_parse(self, name: str, value: Any) -> tuple[str, Any]:
        """Keep a text unchanged; Python would decode it, and lose blanks."""
        return (
            (name, header_text(value))
            if _is_ours(name)
            else super().header_store_parse(name, value)
        )

    def header_fetch_parse(self, name: str, value: Any) -> Any:
        """Return the header's value; a text as it was given."""
        return value if _is_ours(name) else super().header_fetch_parse(name, value)

    def fold(self, name: str, value: Any) -> str:
        """Return the folded header."""
        return _folded(name, value) if _is_ours(name) else super().fold(name, value)

    def fold_binary(self, name: str, value: Any) -> bytes:
        """Return the folded header as bytes."""
        return (
            _folded(name, value).encode("ascii")
            if _is_ours(name)
            else super().fold_binary(name, value)
        )


MAIL = MailPolicy(linesep=_END)


def _is_ours(name: str) -> bool:
    return name.lower() in _TEXTS | _ADDRESSES


def _folded(name: str, value: str) -> str:
    return folded_addresses(name, value) if name.lower() in _ADDRESSES else folded_text(name, value)


def _encoded_words(text: str, used: int) -> Iterator[str]:
    """Yield the text as encoded words; the first is on a line with `used` characters.

    The shorter of the two encodings is used.
    """
    quoted = [_quoted(letter) for letter in text]
    encoding = "q" if sum(map(len, quoted)) <= len(text.encode()) * 4 // 3 else "b"
    frame = len("=?utf-8?q??=")
    room = _LONGEST_LINE - used - frame
    start = size = 0
    for place, letter in enumerate(text):
        cost = len(quoted[place]) if encoding == "q" else len(letter.encode())
        limit = room if encoding == "q" else room // 4 * 3
        if size and size + cost > limit:
            yield _word(encoding, text[start:place])
            start, size, room = place, 0, _LONGEST_WORD - frame
        size += cost
    yield _word(encoding, text[start:])


def _word(encoding: str, text: str) -> str:
    """Return one encoded word; it never splits a character."""
    inner = (
        "".join(map(_quoted, text))
        if encoding == "q"
        else base64.b64encode(text.encode()).decode("ascii")
    )
    return f"=?utf-8?{encoding}?{inner}?="


def _quoted(letter: str) -> str:
    if letter in _LEGIBLE:
        return letter
    return "_" if letter == " " else "".join(f"={byte:02X}" for byte in letter.encode())
