"""Verifies an evidence file, on any machine: without a store, configuration or network."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from daemon.core.errors import OperatorError
from daemon.core.filenames import is_plain_name
from daemon.maintenance.evidence.contents import (
    EvidenceContents,
    EvidenceFinding,
    contents_of,
    findings,
)
from daemon.maintenance.evidence.exporting import CHAIN, EVIDENCE, LETTER, MESSAGE, PDF
from daemon.maintenance.evidence.sealed_zip import (
    MANIFEST,
    PUBLIC_KEY,
    SIGNATURE,
    SealedZip,
    is_signed,
    public_pem,
)
from daemon.store.journal.heads import Head, fingerprint

_LARGEST = 256 << 20  # bytes of what is read whole; years of a busy journal are less
_LINE = re.compile(r"([0-9a-f]{64})  (\S+)")
_TABLE = re.compile(r"tables/[0-9a-f]{64}\.toml")
_UNSUMMED = frozenset({MANIFEST, SIGNATURE})
_NEEDED = (EVIDENCE, PDF, CHAIN, PUBLIC_KEY, MANIFEST, SIGNATURE)


@dataclass(frozen=True, kw_only=True)
class VerifiedEvidence:
    """The result."""

    key: str
    """The public key that signed it, in hex."""
    findings: Sequence[EvidenceFinding]
    contents: EvidenceContents | None = None
    """None if it cannot be read."""

    @property
    def fingerprint(self) -> str:
        """What people compare of the key."""
        return fingerprint(self.key)


def verify_evidence(
    path: Path, keys: Sequence[str] = (), heads: Sequence[Head] = ()
) -> VerifiedEvidence:
    """Verify a file, which may be anything; write nothing.

    `keys` are fingerprints, in lower case, that the reader has from elsewhere; without any and
    without heads, which were published, any key is accepted. Raises OperatorError if it is not an
    evidence at all.
    """
    try:
        with _opened(path) as file:
            return _verify(SealedZip(file), keys, heads)
    except OSError as error:
        reason = (error.strerror or "it cannot be read").lower()
        raise OperatorError(f"{path} cannot be read: {reason}; name another file") from error
    except OperatorError as error:
        raise OperatorError(f"{path} is not a valid evidence file: {error}") from error


def _opened(path: Path) -> BinaryIO:
    """Open a file for reading. Raises OperatorError for a device or a pipe: these may never end."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OperatorError("it is not a regular file")
    return path.open("rb")


def _verify(archive: SealedZip, keys: Sequence[str], heads: Sequence[Head]) -> VerifiedEvidence:
    key, unchanged = archive.seal()
    _require_names(archive.names)
    found: list[EvidenceFinding] = []
    if not unchanged:
        text = "it was changed, or packed again, after it was signed; see what else is named"
        found.append(EvidenceFinding(where="the file", text=text))
    found += _key_findings(key, keys, heads)
    digests, damaged = _digests(archive)
    found += damaged
    found += _manifest(archive, digests, key)
    contents = None
    if all(digests.get(name, "missing") for name in (EVIDENCE, MESSAGE, CHAIN)):
        try:
            contents = _contents(archive, digests)
        except OperatorError as error:
            found.append(EvidenceFinding(where=EVIDENCE, text=str(error)))
    if contents:
        found += findings(contents, {key, *keys, *(each.key for each in heads)}, heads)
    return VerifiedEvidence(key=key, findings=found, contents=contents)


def _require_names(names: Sequence[str]) -> None:
    """Refuse what no evidence has, such as names that lead out of a folder."""
    for name in names:
        plain = name.removeprefix(LETTER)
        of_letter = plain != name and is_plain_name(plain)
        if name not in _NEEDED and not of_letter and not _TABLE.fullmatch(name):
            raise OperatorError(f"it has a file that no evidence has: {name[:80]!r}")


def _key_findings(
    key: str, keys: Sequence[str], heads: Sequence[Head]
) -> Iterator[EvidenceFinding]:
    accepted = {*keys} | {fingerprint(each.key) for each in heads}
    if accepted and not accepted & {key, fingerprint(key)}:
        text = f"it is signed with another key than yours: {fingerprint(key)}"
        yield EvidenceFinding(where="the signature", text=text)


def _digests(archive: SealedZip) -> tuple[dict[str, str], list[EvidenceFinding]]:
    """Return the SHA-256 of each file, and which files cannot be read."""
    digests: dict[str, str] = {}
    damaged = []
    for name in archive.names:
        found = hashlib.sha256()
        try:
            for chunk in archive.chunks(name):
                found.update(chunk)
            digests[name] = found.hexdigest()
        except OperatorError:
            digests[name] = ""
            damaged.append(EvidenceFinding(where=name, text="was changed: it is damaged"))
    return digests, damaged


def _manifest(
    archive: SealedZip, digests: Mapping[str, str], key: str
) -> Iterator[EvidenceFinding]:
    """Yield what of the files is not as the manifest has it, and what of the manifest is wrong."""
    missing = [each for each in _NEEDED if each not in digests]
    for name in missing:
        yield EvidenceFinding(where=name, text="is missing")
    if MANIFEST in missing or SIGNATURE in missing:
        return
    try:
        manifest = archive.read(MANIFEST, _LARGEST)
        signature = archive.read(SIGNATURE, _LARGEST)
    except OperatorError:
        return  # named already
    if not is_signed(key, manifest, signature):
        text = "it or SHA256SUMS.sig was changed: the signature is wrong"
        yield EvidenceFinding(where=MANIFEST, text=text)
    sums = {line[2]: line[1] for line in _LINE.finditer(manifest.decode("ascii", "replace"))}
    for name in sorted((digests.keys() | sums.keys()) - _UNSUMMED):
        if name not in digests:
            yield EvidenceFinding(where=name, text="is missing")
        elif name not in sums:
            yield EvidenceFinding(where=name, text="is not in SHA256SUMS: it was added")
        elif digests[name] and digests[name] != sums[name]:
            yield EvidenceFinding(
                where=name, text="was changed: its SHA-256 is not that of SHA256SUMS"
            )
    if digests.get(PUBLIC_KEY) not in {None, "", hashlib.sha256(public_pem(key)).hexdigest()}:
        yield EvidenceFinding(where=PUBLIC_KEY, text="is another key than the one that signed")


def _contents(archive: SealedZip, digests: Mapping[str, str]) -> EvidenceContents:
    """Return what is in it. Raises OperatorError."""
    message = archive.read(MESSAGE, _LARGEST) if MESSAGE in digests else b""
    return contents_of(
        archive.read(EVIDENCE, _LARGEST) if EVIDENCE in digests else b"",
        message,
        archive.read(CHAIN, _LARGEST) if CHAIN in digests else b"",
        digests,
    )
