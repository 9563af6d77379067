"""A zip file with a manifest that is signed, and a seal that no byte of it was changed.

Every file in it is stored and not compressed, so nothing can unpack to more than the file has. The
manifest, SHA256SUMS, is for `sha256sum --check`, and its signature for `openssl`. The seal is the
zip's comment: a signature of the SHA-256 of everything before it.
"""

from __future__ import annotations

import hashlib
import os
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import BinaryIO, Protocol

from daemon.core.errors import OperatorError
from daemon.store.journal.heads import public_of

MANIFEST, SIGNATURE, PUBLIC_KEY = "SHA256SUMS", "SHA256SUMS.sig", "public-key.pem"
_SEAL = "postmottak-evidence-1 {key} {signature}"
_SEAL_SIZE = len(_SEAL.format(key="0" * 64, signature="0" * 128))
_SEALED = re.compile(rb"postmottak-evidence-1 ([0-9a-f]{64}) ([0-9a-f]{128})")
_CHUNK = 1 << 18
_MOST_FILES = 10_000
_UTF8 = 0x800  # the only flag that our zips have
_EPOCH = (1980, 1, 1, 0, 0, 0)


class Signs(Protocol):
    """A private key."""

    def sign(self, data: bytes) -> bytes:
        """Return the signature."""


def write_sealed(
    file: BinaryIO, members: Iterable[tuple[str, Iterable[bytes]]], key: bytes
) -> None:
    """Write the files into an empty file, opened for reading too. `key` is the private key.

    Raises OSError, and what reading the files raises.
    """
    private = _private(key)
    seal = _SEAL.format(key=public_of(key), signature="0" * 128).encode()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        sums = [
            f"{_add(archive, name, chunks)}  {name}\n"
            for name, chunks in (*members, (PUBLIC_KEY, [public_pem(public_of(key))]))
        ]
        manifest = "".join(sums).encode()
        _add(archive, MANIFEST, [manifest])
        _add(archive, SIGNATURE, [private.sign(manifest)])
        archive.comment = seal
    file.flush()
    with os.fdopen(os.dup(file.fileno()), "rb") as written:
        signature = private.sign(_digest_before(written, len(seal)))
    file.seek(-len(seal), 2)
    file.write(_SEAL.format(key=public_of(key), signature=signature.hex()).encode())


def _private(key: bytes) -> Signs:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(key)


def public_pem(public: str) -> bytes:
    """Return a public key as openssl reads it."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _add(archive: zipfile.ZipFile, name: str, chunks: Iterable[bytes]) -> str:
    """Write one file; return its SHA-256."""
    found = hashlib.sha256()
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.external_attr = 0o600 << 16
    with archive.open(entry, "w", force_zip64=True) as target:
        for chunk in chunks:
            found.update(chunk)
            target.write(chunk)
    return found.hexdigest()


def _digest_before(file: BinaryIO, end: int) -> bytes:
    """Return the SHA-256 of everything but the last `end` bytes."""
    found = hashlib.sha256()
    left = file.seek(0, 2) - end
    file.seek(0)
    while left > 0 and (chunk := file.read(min(_CHUNK, left))):
        found.update(chunk)
        left -= len(chunk)
    return found.digest()


class SealedZip:
    """A zip file that may be anything. Nothing of it is written anywhere."""

    def __init__(self, file: BinaryIO) -> None:
        """Read its directory. Raises OperatorError for what is not such a file."""
        self._file = file
        self.size = file.seek(0, 2)
        with _readable():
            self._archive = zipfile.ZipFile(file)
        self._entries = self._checked(self._archive.infolist())

    def _checked(self, entries: list[zipfile.ZipInfo]) -> Mapping[str, zipfile.ZipInfo]:
        found = {each.filename: each for each in entries}
        if len(found) != len(entries) or len(entries) > _MOST_FILES:
            raise _not_ours("it has two files of one name, or more files than any letter")
        for each in entries:
            if each.compress_type != zipfile.ZIP_STORED or each.flag_bits & ~_UTF8:
                raise _not_ours("a file in it is compressed or encrypted")
        if sum(each.file_size for each in entries) > self.size:
            raise _not_ours("its files say that they are larger than it is")
        return found

    @property
    def names(self) -> list[str]:
        """The names of its files."""
        return list(self._entries)

    def size_of(self, name: str) -> int:
        """Return the size of a file, as the zip says it; 0 if it is missing."""
        entry = self._entries.get(name)
        return entry.file_size if entry else 0

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield the bytes of a file that is there. Raises OperatorError if it cannot be read."""
        with _readable(), self._archive.open(self._entries[name]) as source:
            while chunk := source.read(_CHUNK):
                yield chunk

    def read(self, name: str, most: int) -> bytes:
        """Return a whole file. Raises OperatorError if it is larger than `most`, or as `chunks`."""
        if self.size_of(name) > most:
            raise OperatorError(f"{name} is larger than it can be")
        return b"".join(self.chunks(name))

    def seal(self) -> tuple[str, bool]:
        """Return the public key in hex, and whether no byte was changed.

        Raises OperatorError if there is no seal.
        """
        self._file.seek(max(0, self.size - _SEAL_SIZE))
        found = _SEALED.fullmatch(self._file.read())
        if found is None:
            raise _not_ours("its seal is missing or was changed")
        key, signature = found[1].decode(), bytes.fromhex(found[2].decode())
        return key, is_signed(key, _digest_before(self._file, _SEAL_SIZE), signature)


def is_signed(key: str, data: bytes, signature: bytes) -> bool:
    """Whether the signature is that of a public key, in hex."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(signature, data)
    except (ValueError, InvalidSignature):
        return False
    return True


def _not_ours(why: str) -> OperatorError:
    return OperatorError(f"it is not as `postmottak evidence export` writes it: {why}")


@contextmanager
def _readable() -> Iterator[None]:
    """Raise OperatorError for whatever a damaged zip makes the library raise."""
    try:
        yield
    except OperatorError:
        raise
    except Exception as error:  # the library has no list: struct.error, NotImplementedError, others
        raise OperatorError("it cannot be read as a zip file") from error
