"""What makes a mail program show letters of one matter together: made-up Message-IDs that all of them refer to.

No mail has these ids; they are derived from the letter, so that they are the same whenever, and in whatever order, letters come.
"""

from __future__ import annotations

import re
from uuid import UUID, uuid5

from daemon.document import LetterDocument

_NAMESPACE = UUID("b5f3c0a4-52c1-5f0b-9d0a-3f6e0c1d7a92")
_CASE_NUMBER = re.compile(r"\b(?:19|20)?\d{2}/\d{1,7}\b")


def thread_ids(document: LetterDocument, domain: str) -> tuple[str, ...]:
    """One id for the sender's case number, if title or summary has one (2026/1234), and one for the sender's reference, if there is one.

    A letter whose sender is not known belongs to no thread.
    """
    sender = document.sender.organisation or document.sender.name
    case = _CASE_NUMBER.search(f"{document.title} {document.summary}")
    known = (("case", case.group() if case else ""), ("reference", document.sender_reference.strip()))
    keys = [f"{document.party}/{sender}/{kind}/{value}" for kind, value in known if sender and value]
    return tuple(f"<thread.{uuid5(_NAMESPACE, key)}@{domain}>" for key in keys)
