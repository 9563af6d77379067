"""Writes the evidence of a letter to a new file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

from daemon.core.document import LetterDocument
from daemon.core.durable_files import new_file
from daemon.core.errors import OperatorError
from daemon.core.filenames import is_plain_name
from daemon.core.model import KEPT_STATES, AttachmentValues
from daemon.maintenance.evidence.collecting import Collected, table_file
from daemon.maintenance.evidence.pdf import render_evidence
from daemon.maintenance.evidence.sealed_zip import write_sealed
from daemon.maintenance.evidence.words import EvidenceWords
from daemon.store.content import ContentStore
from daemon.store.journal.heads import public_of

EVIDENCE, PDF, CHAIN, LETTER = "evidence.json", "evidence.pdf", "chain.bin", "letter/"
MESSAGE = f"{LETTER}message.json"
"""The names of files; those of the letter are in a folder."""
_CHUNK = 1 << 18
_Members: TypeAlias = Iterator[tuple[str, Iterable[bytes]]]


def write_evidence(
    path: Path, found: Collected, content: ContentStore, key: bytes, words: EvidenceWords
) -> None:
    """Write the evidence to a new file, which is durable and whole when this returns.

    Raises OperatorError if the file exists or cannot be written, ContentMissing and StoreError.
    """
    try:
        with new_file(path, 0o600) as file:
            write_sealed(file, members_of(found, content, public_of(key), words), key)
    except FileExistsError as error:
        raise OperatorError(f"{path} exists already; name another file") from error
    except OSError as error:
        raise OperatorError(
            f"{path} cannot be written: {error.strerror}; name another file"
        ) from error


def members_of(found: Collected, content: ContentStore, key: str, words: EvidenceWords) -> _Members:
    """Yield the files of the evidence. `key` is the public key, in hex."""
    yield EVIDENCE, [f"{found.evidence.model_dump_json(indent=2, by_alias=True)}\n".encode()]
    yield PDF, [render_evidence(found.evidence, found.hashes, key, words, found.tried)]
    yield CHAIN, [found.leaves]
    for version, text in found.tables.items():
        yield table_file(version), [text.encode()]
    document = found.letter.handed_on()
    if document:
        yield from _letter(found, document, content)


def _letter(found: Collected, document: LetterDocument, content: ContentStore) -> _Members:
    """Yield the letter as a drop has it."""
    assert found.letter.message
    yield MESSAGE, [f"{document.model_dump_json(indent=2)}\n".encode()]
    yield f"{LETTER}{document.body.name}", [found.letter.message.body.encode()]
    for each in found.letter.attachments:
        if each.state in KEPT_STATES and each.sha256:
            if not is_plain_name(each.safe_name):
                raise OperatorError(
                    f"The name of attachment {each.position} was changed in the database; run "
                    "`postmottak journal verify`"
                )
            yield f"{LETTER}{each.safe_name}", _verified(each, content)


def _verified(attachment: AttachmentValues, content: ContentStore) -> Iterator[bytes]:
    """Yield an attachment's bytes. Raises OperatorError if they are not what was received."""
    assert attachment.sha256
    found = hashlib.sha256()
    with content.open(attachment.sha256) as source:
        while chunk := source.read(_CHUNK):
            found.update(chunk)
            yield chunk
    if found.hexdigest() != attachment.sha256:
        raise OperatorError(
            f"The stored file {attachment.sha256} is not what was received; restore it in the "
            "content folder from a backup"
        )
