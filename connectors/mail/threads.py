"""What makes a mail program show letters of one matter together: made-up Message-IDs that all of them refer to.

No mail has these ids; they are derived from the letter, so that they are the same whenever, and in whatever order, letters come.
"""

from __future__ import annotations

from uuid import UUID, uuid5

from daemon.casenumbers import case_numbers
from daemon.document import LetterDocument

_NAMESPACE = UUID("b5f3c0a4-52c1-5f0b-9d0a-3f6e0c1d7a92")


def thread_ids(document: LetterDocument, domain: str) -> tuple[str, ...]:
    """One id for the sender's first case number, if title or summary has one, and one for the sender's reference, if there is one.

    A letter whose sender is not known belongs to no thread.
    """
    sender = document.sender.organisation or document.sender.name
    case = next(iter(case_numbers(f"{document.title} {document.summary}")), "")
    known = (("case", case), ("reference", document.sender_reference.strip()))
    keys = [f"{document.party}/{sender}/{kind}/{value}" for kind, value in known if sender and value]
    return tuple(f"<thread.{uuid5(_NAMESPACE, key)}@{domain}>" for key in keys)
