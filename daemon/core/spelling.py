"""Suggests the known word that is closest to an unknown one, or means the same. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_SAME = (
    {"from", "from_address", "sender"},
    {"to", "recipient", "cc", "bcc", "rcpt", "recipients"},
    {"tls", "ssl", "starttls", "use_tls", "encryption", "security"},
    {"server", "hostname", "smarthost", "smtp_host", "relay", "host"},
    {"user", "login", "username"},
    {"password", "pass", "passwd", "passphrase", "password_file"},
    {"secret", "token", "secret_file"},
    {"key", "private_key", "private_key_file", "pem", "key_file"},
    {"kid", "key_id"},
    {"cert", "certificate", "cert_file", "client_cert", "client_cert_file"},
    {"ca", "cafile", "ca_bundle", "cacert", "ca_file"},
    {"dir", "directory", "folder", "path"},
    {"uri", "endpoint", "address", "url"},
    {"interval", "poll_interval", "every", "schedule", "poll_every"},
    {"organisations", "organizations", "organisation", "orgnr", "organisasjoner", "parties"},
    {"env", "environment"},
    {"format", "layout"},
    {"max_size", "size_limit", "max_bytes", "max_attachment_bytes"},
)
"""Words that other programs have for the same setting; `other_word_for` suggests the known one."""


def other_word_for(word: str, known: Iterable[str]) -> str:
    """Return `did you mean …?` for the known setting that others call `word`, or an empty text."""
    keys = list(known)
    same = {each for words in _SAME if word.lower() in words for each in words}
    found = next((key for key in keys if key in same), "")
    return f"did you mean {found!r}?" if found else ""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `did you mean …?` for the known word that is closest to `word`, or an empty text."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else ""
