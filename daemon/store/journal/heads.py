"""Signed heads: the sequence and the hash of the newest row, which fix all rows up to it.

A head is signed with Ed25519 (RFC 8032). The message is the canonical JSON of everything else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

from daemon.core.errors import OperatorError
from daemon.store.journal.rows import canonical

HEAD = "head"
"""The kind of the row that has a head; it signs the rows before it."""
FIELDS = ("sequence", "hash", "at", "key", "signature")


@dataclass(frozen=True, kw_only=True)
class Head:
    """The newest row when it was signed."""

    sequence: int
    hash: str
    """In hex."""
    at: str
    """When it was signed, as ISO 8601 in UTC."""
    key: str
    """The public key, in hex."""
    signature: str
    """In hex."""

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any]) -> Head:
        """Return the head that facts have. Raises ValueError or KeyError if they have none."""
        found = facts["head"][0]
        head = cls(**{name: found[name] for name in FIELDS})
        if not isinstance(head.sequence, int) or not all(
            isinstance(getattr(head, name), str) for name in FIELDS[1:]
        ):
            raise ValueError("not a head")
        return head

    def facts(self) -> dict[str, Any]:
        """Return the facts of a row that has this head."""
        return {"head": [asdict(self)]}

    def text(self) -> str:
        """Return the head as it is published, in JSON."""
        return json.dumps({"postmottak_journal": 1, **asdict(self)}, indent=2) + "\n"

    def is_signed(self) -> bool:
        """Whether the signature is that of its key."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.key))
            public.verify(bytes.fromhex(self.signature), _message(self))
        except (ValueError, InvalidSignature):
            return False
        return True


def head_of(text: str) -> Head:
    """Return the head that was published as this text. Raises OperatorError."""
    try:
        head = Head.of_facts({"head": [json.loads(text)]})
    except (ValueError, KeyError, TypeError) as error:
        raise OperatorError("it is not a head of a journal") from error
    if not head.is_signed():
        raise OperatorError("its signature is wrong: it was changed")
    return head


def sign(key: bytes, sequence: int, hash_: bytes, at: str) -> Head:
    """Return the signed head of the row. `key` is the private key, 32 bytes."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.from_private_bytes(key)
    head = Head(sequence=sequence, hash=hash_.hex(), at=at, key=public_of(key), signature="")
    signature = private.sign(_message(head)).hex()
    return Head(**{**asdict(head), "signature": signature})


def public_of(key: bytes) -> str:
    """Return the public key, in hex."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(key).public_key().public_bytes_raw().hex()


def fingerprint(public: str) -> str:
    """Return what people compare: the first 16 digits of the SHA-256 of a public key."""
    try:
        return sha256(bytes.fromhex(public)).hexdigest()[:16]
    except ValueError:
        return "unreadable"


def _message(head: Head) -> bytes:
    facts = asdict(head)
    del facts["signature"]
    return canonical(facts).encode()
