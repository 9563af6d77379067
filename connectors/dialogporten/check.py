"""Whether the bell can be used, for `postmottak check`; leaves no trace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from connectors.dialogporten.client import DialogClient
from daemon.core.errors import AccessRefused, MailboxError
from daemon.core.ports import Finding

_SUBJECT = "bell"


def check_bell(
    client: DialogClient,
    holder_of: Callable[[str], str],
    parties: Sequence[str],
    *,
    needed: bool,
) -> Finding:
    """Search for the first organisation; it fails only if the bell is `needed`."""
    if not parties:
        return Finding(subject=_SUBJECT, ok=True, text="no organisation is known yet")
    try:
        client.changed(holder_of(parties[0]), parties[:1], datetime.now(UTC))
    except AccessRefused as error:
        text = (
            f"{error}. Without the scope digdir:dialogporten every channel is listed at each poll; "
            "ask Altinn (servicedesk@altinn.no) to give your organisation the scope"
        )
        return Finding(subject=_SUBJECT, ok=not needed, warning=not needed, text=text)
    except MailboxError as error:
        text = f"{error}. Channels are listed meanwhile"
        return Finding(subject=_SUBJECT, ok=not needed, warning=not needed, text=text)
    text = "Dialogporten answers who has something new, so that channels are not listed each time"
    return Finding(subject=_SUBJECT, ok=True, text=text)
