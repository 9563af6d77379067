"""File and folder names that are safe on any file system, and the same for the same letter.

Pure. Senders' names are never used as they are: a name here is ASCII, short, and says enough for a
person to recognise the file.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from uuid import UUID

from daemon.core.folding import readable

MAX_LENGTH = 80
"""The maximum length of a file name, in characters and so in bytes."""
_SLUG_LENGTH = 20

_NO_DECOMPOSITION = str.maketrans(
    {
        "æ": "ae",
        "ø": "o",
        "œ": "oe",
        "đ": "d",
        "ð": "d",
        "ħ": "h",
        "ł": "l",
        "ŋ": "n",
        "ŧ": "t",
        "þ": "th",
    }
)  # Norwegian, Sámi and neighbouring letters that NFKD does not decompose, as it does å
_SUFFIX = re.compile(r"(?=[0-9]*[a-z])[0-9a-z]{1,8}")
_SUFFIXES = {
    "pdf": frozenset({"pdf", "ai"}),
    "png": frozenset({"png", "apng"}),
    "jpg": frozenset({"jpg", "jpeg", "jpe", "jfif"}),
    "gif": frozenset({"gif"}),
}
"""The suffixes of kinds whose files have no others."""
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_WINDOWS_DEVICES = frozenset(
    {
        "con",
        "prn",
        "aux",
        "nul",
        *(f"{port}{number}" for port in ("com", "lpt") for number in range(10)),
    }
)


def safe_name(original: str, media_type: str, position: int, kind: str = "") -> str:
    """Return the name under which an attachment is kept and handed on: `001-<slug>.<suffix>`.

    `position`, from 1 on, is the attachment's place in its letter, which makes the name unique
    there. The suffix is kept if it looks like one and fits the `kind` of file that the bytes
    are (`daemon.core.file_kinds`); otherwise the kind's is used. A file that only its media type
    calls a PDF gets `.pdf` if it has no suffix.
    """
    stem, suffix = _split(_ascii(readable(original)), media_type, kind)
    prefix = f"{position:03d}-"
    ending = f".{suffix}" if suffix else ""
    name = _hyphenated(stem)[: MAX_LENGTH - len(prefix) - len(ending)].strip("-")
    return f"{prefix}{name or 'vedlegg'}{ending}"


@lru_cache(maxsize=1024)  # a letter's service, sender and recipient are few
def slug(text: str) -> str:
    """Return at most 20 characters of `a-z0-9-` that say what the text says, or `ukjent`."""
    return _hyphenated(_ascii(text))[:_SLUG_LENGTH].strip("-") or "ukjent"


def short_id(message_id: UUID) -> str:
    """Return the eight characters that tell a letter's files from another's."""
    return message_id.hex[:8]


def is_plain_name(name: str) -> bool:
    """Whether `name` is a plain file name on any system.

    That is ASCII, and not a path, a hidden file, a Windows device or a name with a trailing dot.
    """
    device = name.partition(".")[0].lower() in _WINDOWS_DEVICES
    return bool(_PLAIN.fullmatch(name)) and not name.endswith(".") and not device


def _ascii(text: str) -> str:
    """Return `text` in lower case, without accents, and with Latin letters written in ASCII.

    Characters without such a form stay as they are.
    """
    if text.isascii():
        return text.lower()
    apart = unicodedata.normalize("NFKD", text).casefold()
    bare = "".join(letter for letter in apart if not unicodedata.combining(letter))
    return bare.translate(_NO_DECOMPOSITION)


def _split(name: str, media_type: str, kind: str) -> tuple[str, str]:
    stem, dot, suffix = name.strip().rstrip(". ").rpartition(".")
    if dot and _SUFFIX.fullmatch(suffix) and (not kind or _can_be(suffix, kind)):
        return stem, suffix
    is_pdf = media_type.partition(";")[0].strip().lower() == "application/pdf"
    return name, kind or ("pdf" if is_pdf else "")


def _can_be(suffix: str, kind: str) -> bool:
    """Whether a file of this kind may have this suffix.

    Many formats are ZIP or XML inside, and none has a suffix of one letter.
    """
    known = _SUFFIXES.get(kind)
    return suffix in known if known else len(suffix) > 1


def _hyphenated(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text).strip("-")
