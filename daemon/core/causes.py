"""Why something fails, told apart by its words: what an operator must set right, and what passes.

A reason is what a connector says of a failure, `WHAT; REMEDY`. Reasons are kept as text, with
deliveries and bookmarks, so every process that reads the store judges them alike. Pure.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

from daemon.core.outside_values import text_from

_NO_ROOM = r"no (space|room) left|used up its quota|status 507\b"
_WORDS = (
    # folders and shares
    *("permission denied", "is not writable", "can only be read", "read-only", "does not exist"),
    *("is not a folder", "has no bucket", "owner or group", "refuses to give its files the mode"),
    *("readwritepaths", "protectsystem", "protecthome", "loadcredential"),
    # log-ins and rights
    *("wants a log-in", "without a log-in (status", "lacks a scope", "refuses a token"),
    # names, certificates and keys
    *("name or service not known", "another key than", "calls revoked"),
    "so it is not known whether",
    # the configuration itself
    *("is not in the configuration", "known_hosts holds no", "no e-mail address for"),
)
_SIGNS = {
    " not be ": r"(may|can) not be (read|written|used)",
    "cannot be ": r"cannot be (read|written)\b|cannot be resolved \((?!temporary|try again)",
    "is not there": r"is not there\b",
    "no such ": r"no such (file|folder|share|bucket)",
    ", who may not enter": r"cannot be reached by \S+, who may not enter",
    " may not change": r"has something in it that \S+ may not change",
    "refuses the ": r"refuses the (log-in|bucket|key)",
    "offers no ": r"offers no (starttls|supported way)",
    "status ": r"status (401|403|404|405|407|415|530|534|535)\b",
    "may no": r"may no(t|longer| longer) read",
    "access ": r"access (is )?(denied|lost)",
    "certificate ": r"certificate (cannot be verified|has expired|is not)",
}
"""Patterns, each with words that are in whatever it matches: a search for words costs little."""
_PATTERNS = {words: re.compile(pattern) for words, pattern in _SIGNS.items()}
_FULL = re.compile(_NO_ROOM, re.IGNORECASE)
_GIVEN_UP = r"^(given up after [^:]+: )?"
_NAMES = tuple(
    (words, re.compile(pattern), instead)
    for words, pattern, instead in (
        # of persons
        (
            " is not a valid e-mail address",
            _GIVEN_UP + r".+ is not a valid e-mail address",
            r"\1an address is not a valid e-mail address",
        ),
        ("@", r"(?<![^\s<>,;@])[^\s<>,;@]+@[^\s<>,;]+", "an address"),
        ("no e-mail address for ", r"(no e-mail address for) [^;]+", r"\1 a recipient"),
        # of letters and attachments, which say what they are about
        (
            "stored file ",
            r"(stored file) .+(?= (?:cannot be read|is not what was received))",
            r"\1 …",
        ),
        (
            " in the drop ",
            _GIVEN_UP + r"(?!(?:\.postmottak|index\.csv|files) in )[^;]+? in the drop ",
            r"\1something in the drop ",
        ),
        (
            " in the drop ",
            r"( in the drop [^;]* is named) .+(?=; move it away)",
            r"\1 as a letter",
        ),
        (  # see daemon/core/filenames.py
            "-",
            r"(?<![\w/.-])\d{3}-(?=[0-9-]*[a-z])[a-z0-9-]+(?:\.[0-9a-z]{1,8}\b)?",
            "an attachment",
        ),
    )
)
_VARIES = re.compile(
    r"\b[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}\b|\b[0-9a-f]{16,}\b|\b\d{4}-\d\d-\d\dT[\d:.]+Z?"
)
"""Ids, hashes and times."""
_STATUS = re.compile(r"\b[1-5]\d\d\b")
_NUMBER = re.compile(r"\d+")
_LONGEST = 400
_READ = 2000  # characters of a reason that are judged, because searches take longer than in line


def needs_set_up(reason: str) -> bool:
    """Whether the words say that something is set up wrongly, so that waiting does not help.

    Such as a right that is missing, a folder that is not there, a log-in or a certificate that is
    refused, or a host that is not known. A full disk may have room again by itself.
    """
    said = reason[:_READ].lower()
    return any(words in said for words in _WORDS) or any(
        pattern.search(said) for words, pattern in _PATTERNS.items() if words in said
    )


def is_full(reason: str) -> bool:
    """Whether the words say that there is no room where something is to be written."""
    return bool(_FULL.search(reason[:_READ]))


def cause_of(reason: str) -> str:
    """Return the same words for each repeat of a failure: one line, without ids and addresses.

    They name no person, letter or attachment, and can be stored; codes such as `403` stay.
    """
    text = " ".join(text_from(reason[:_READ]).split())
    for words, pattern, instead in _NAMES:
        if words in text:
            text = pattern.sub(instead, text)
    text = _VARIES.sub("…", text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def incident_of(where: str, reason: str) -> str:
    """Return a short id that problems at one place with one cause share.

    `where` says what the place is as well, such as `mailbox altinn`: names of mailboxes and of
    destinations may be the same. What passes by itself is one cause, however its words change from
    one attempt to the next; only that there is no room is another.
    """
    return _incident_of(where, reason[:_READ])


@lru_cache(maxsize=4096)
def _incident_of(where: str, reason: str) -> str:
    cause = cause_of(reason) if needs_set_up(reason) or is_full(reason) else ""
    codes = _STATUS.findall(cause)
    plain = " ".join([_NUMBER.sub("", cause), *codes])
    return hashlib.sha256(f"{where}\n{plain}".encode("utf-8", "replace")).hexdigest()[:8]


def split_reason(reason: str) -> tuple[str, str]:
    """Return what is wrong and the remedy, which stands after the first semicolon; or no remedy."""
    what, _, remedy = reason.partition("; ")
    return what, remedy
