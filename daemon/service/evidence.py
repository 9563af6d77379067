"""Exports the evidence of a letter: records who does it, and then writes the file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from daemon.config.loader import Configuration
from daemon.core.errors import OperatorError
from daemon.maintenance.evidence.collecting import collect, is_confidential, letter_named
from daemon.maintenance.evidence.exporting import write_evidence
from daemon.maintenance.evidence.pdf import require_library
from daemon.maintenance.evidence.verifying import VerifiedEvidence, verify_evidence
from daemon.maintenance.evidence.words import EvidenceWords, Language
from daemon.routing.explain import Tried
from daemon.service import stack
from daemon.store import Store
from daemon.store.content import ContentStore
from daemon.store.journal.key import key_path

EXPORTED = "evidence-exported"
"""The kind of the event."""


@dataclass(frozen=True, kw_only=True)
class Exporter:
    """Who exports, from where, and why."""

    user: str
    reason: str = ""
    language: Language = "en"
    """Of the PDF."""
    address: str = ""
    """Empty for a command on this machine."""
    reason_of: Callable[[Tried], str] | None = None
    """Says in the language why a route took the letter or not; None for routing's own words."""


@dataclass(frozen=True, kw_only=True)
class EvidenceSource:
    """The store, and what is beside it."""

    store: Store
    content: ContentStore
    key: Path
    """The file of the journal's key."""

    @classmethod
    def of(cls, configuration: Configuration, store: Store) -> EvidenceSource:
        """Return what the configuration names. Raises StoreError."""
        key = key_path(configuration.store.beside)
        return cls(store=store, content=stack.open_content(configuration), key=key)


def language_of(configuration: Configuration) -> Language:
    """Return the language in which the PDF is, if nobody says which: that of alerts."""
    return "en" if configuration.alerts.language == "en" else "nb"


def export(
    source: EvidenceSource, name: str, path: Path, by: Exporter, now: datetime
) -> VerifiedEvidence:
    """Write the evidence of a letter to a new file, and return what its verification finds.

    The event is recorded before, so that none is exported without. The caller has asked whether the
    user may. Raises OperatorError, also for a confidential letter without a reason; StoreError and
    ContentMissing.
    """
    require_library()
    if path.exists():
        raise OperatorError(f"{path} exists already; name another file")
    try:
        return _exported(source, name, path, by, now)
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        # a value that somebody wrote by hand may be of any type
        raise OperatorError(
            f"The evidence of {name} cannot be exported: the database was changed by hand, or is "
            "damaged; run `postmottak journal verify`, which says where"
        ) from error


def _exported(
    source: EvidenceSource, name: str, path: Path, by: Exporter, now: datetime
) -> VerifiedEvidence:
    letter = letter_named(source.store, name)
    if not by.reason and is_confidential(source.store, letter):
        raise OperatorError(
            f"The letter {letter.id} is confidential; give the reason for the export with --reason"
        )
    key = source.store.journal.own_key(source.key)
    source.store.events.add(
        now,
        kind=EXPORTED,
        user=by.user,
        address=by.address,
        message_id=letter.id,
        details={"reason": by.reason} if by.reason else {},
    )
    found = collect(source.store, letter, key, now, by.user)
    words = EvidenceWords(by.language, by.reason_of)
    write_evidence(path, found, source.content, key, words)
    return verify_evidence(path)
