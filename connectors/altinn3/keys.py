"""The private keys for Maskinporten on this machine: make one beside another, and tell them apart.

A key's id is not part of a private key in PEM, so that a new file has it as text before the key,
which every reader of PEM ignores (RFC 7468, section 2).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date
from itertools import count
from pathlib import Path

from connectors.altinn3.first_steps import new_key, public_jwk
from daemon.core.durable_files import new_file
from daemon.core.file_owner import inherit
from daemon.core.settings import secret_text

_SUFFIXES = frozenset({".pem", ".key", ".jwk", ".json"})
_LARGEST = 64 * 1024  # bytes; a key of 16384 bits has about a fifth of this


@dataclass(frozen=True, kw_only=True)
class StoredKey:
    """A file that holds a private key, or was meant to."""

    path: Path
    key_id: str = ""
    """What the file says of itself; empty if it does not."""
    jwk: str = ""
    """The public half, on one line; empty if the key cannot be used."""
    problem: str = ""
    """Why the key cannot be used; nothing of the key itself."""


def make_key(folder: Path, today: date, taken: Collection[str]) -> StoredKey:
    """Write a new key into the folder, under a new name and with an id that is not `taken`.

    The file is complete or absent, has mode 0600, and never replaces another. If root makes it, it
    belongs to the owner of the folder. Raises OSError.
    """
    for number in count(1):
        name = f"{today}" if number == 1 else f"{today}-{number}"
        path, key_id = folder / f"maskinporten-{name}.pem", f"postmottak-{name}"
        if key_id in taken or path.exists():
            continue
        private = new_key()
        with new_file(path, 0o600) as file:
            inherit(file.fileno(), folder)
            file.write(
                f"Key id: {key_id}\nMade by postmottak key new: {today}\n\n{private}".encode()
            )
        return StoredKey(path=path, key_id=key_id, jwk=public_jwk(private, key_id))
    raise AssertionError  # numbers do not end


def read_key(path: Path, key_id: str = "") -> StoredKey:
    """Read one file; `key_id` is its id in the configuration. What is wrong is its `problem`."""
    try:
        text = secret_text(path.read_bytes(), path)
    except OSError as error:
        return StoredKey(path=path, problem=(error.strerror or "cannot be read").lower())
    except ValueError as error:
        return StoredKey(path=path, problem=str(error))
    own = re.match(r"Key id: (\S+)", text)
    said = own[1] if own else ""
    try:
        return StoredKey(path=path, key_id=said, jwk=public_jwk(text, key_id or said))
    except ValueError as error:
        return StoredKey(path=path, key_id=said, problem=str(error))


def keys_in(folder: Path) -> Iterator[StoredKey]:
    """Find the files with private RSA keys in the folder, by name.

    Other files are left out, also those that cannot be read. Raises OSError for the folder.
    """
    for path in sorted(folder.iterdir()):
        if path.suffix in _SUFFIXES and path.is_file() and path.stat().st_size <= _LARGEST:
            found = read_key(path)
            if found.jwk:
                yield found
