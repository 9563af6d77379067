"""Headers that hold words of people: what a reader decodes is what was written, blanks and all.

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
"""Of a header with encoded words, and of an encoded word; RFC 2047, section 2."""
_BREAKS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_PLAIN = re.compile(r"[!-~]+(?: [!-~]+)*")
_LEGIBLE = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!*+-/.,:;()[]{}'"
)
"""What the Q encoding leaves as it is."""


def header_text(text: str) -> str:
    """The text on one line: a blank in the place of line breaks and control characters, and U+FFFD in that of half a surrogate pair."""
    return _BREAKS.sub(" ", text).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def folded_text(name: str, text: str) -> str:
    """The header with its line ends, in ASCII: as it is where every reader takes it as it is, otherwise in encoded words."""
    line = f"{name}: {text}"
    if len(line) > _LONGEST_LINE or "=?" in text or not _PLAIN.fullmatch(text):
        line = f"{name}: " + f"{_END} ".join(_encoded_words(text, len(name) + 2))
    return f"{line}{_END}"


def folded_addresses(name: str, addresses: str) -> str:
    """The header with its line ends, one address on a line.

    Addresses are such as `is_mail_address` takes, with `, ` between them.

    Python's own parser fails at some of them, such as those that begin with a dot.
    """
    return f"{name}: {addresses.replace(', ', f',{_END} ')}{_END}"


class MailPolicy(EmailPolicy):
    """The policy of mails that are sent: texts and addresses are folded as above, and everything else as Python does it."""

    def header_store_parse(self, name: str, value: Any) -> tuple[str, Any]:
        """Keep a text as a text; Python would decode it, and lose blanks."""
        return (
            (name, header_text(value))
            if _is_ours(name)
            else super().header_store_parse(name, value)
        )

    def header_fetch_parse(self, name: str, value: Any) -> Any:
        """The header's value; a text as it was given."""
        return value if _is_ours(name) else super().header_fetch_parse(name, value)

    def fold(self, name: str, value: Any) -> str:
        """The header as it is written."""
        return _folded(name, value) if _is_ours(name) else super().fold(name, value)

    def fold_binary(self, name: str, value: Any) -> bytes:
        """The header as it is sent."""
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
    """The text as encoded words, of which the first stands on a line with `used` characters.

    In the shorter of the two encodings.
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
    """One encoded word; it never holds half a letter."""
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
