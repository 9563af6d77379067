"""The key that signs heads: a file beside the database, because whoever has that is not to sign."""

from __future__ import annotations

from pathlib import Path

from daemon.core.bounded_file import read_bounded
from daemon.core.durable_files import new_file
from daemon.core.errors import StoreError
from daemon.core.file_owner import inherit

ENDING = ".journal-key"
"""Of the key's file, after the name of the database."""


def key_path(database: Path) -> Path:
    """Return where the key of a database is."""
    return database.with_name(database.name + ENDING)


def make_key(path: Path) -> bool:
    """Make a key, unless there is one: Ed25519, as PKCS 8 in PEM, for its owner only.

    Returns whether it is new. Raises OSError.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    pem = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    try:
        with new_file(path, 0o600) as file:
            file.write(pem)
    except FileExistsError:
        return False
    inherit(path, path.parent)
    return True


def own_key(path: Path) -> tuple[bytes, bool]:
    """Return the private key, after making it if there is none, and whether it is new.

    Raises StoreError, with the remedy.
    """
    try:
        new = make_key(path)
    except OSError as error:
        reason = (error.strerror or "cannot be written").lower()
        raise StoreError(
            f"the key of the journal cannot be made: {path}: {reason}; the service's user must "
            "be able to write in this folder, and the disk must have room"
        ) from error
    return read_key(path), new


def read_key(path: Path) -> bytes:
    """Return the private key, 32 bytes. Raises StoreError, with the remedy and without the key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(read_bounded(path), password=None)
    except FileNotFoundError as error:
        raise StoreError(
            f"the key of the journal is not there: {path}; put it back from where you keep the "
            "other secrets, or let the service make one, if there never was one"
        ) from error
    except OSError as error:
        reason = (error.strerror or "it cannot be opened").lower()
        raise StoreError(
            f"the key of the journal cannot be read: {path}: {reason}; put back the file that was "
            "there, for the service's user to read, or move this one aside for a new one"
        ) from error
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise StoreError(
            f"the key of the journal is not an Ed25519 key: {path}; put back the one that was "
            "there, or move the file aside for a new one"
        )
    return key.private_bytes_raw()
