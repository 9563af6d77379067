"""Which letters are opened only with the right for them, for a reason, and are in no list."""

from __future__ import annotations

from daemon.core.model import MessageValues
from daemon.routing.facts import is_guarded


def is_secret(message: MessageValues) -> bool:
    """Whether a letter is confidential: by its mark, or as confidential post."""
    return is_guarded(message.service, confidential=message.confidential)
