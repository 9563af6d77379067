"""Whether the bell and dialogs can be used, for `postmottak check`; leaves no trace."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from connectors.altinn3.access import REST
from connectors.altinn3.token_refusals import PartyRefused
from connectors.dialogporten.client import DialogClient
from connectors.dialogporten.owners import OwnerRule
from daemon.core.errors import AccessRefused, MailboxError
from daemon.core.parties import NamedParty
from daemon.core.ports import Channel, Finding

_SUBJECT = "bell"
_MARKS = (
    "its dialogs that have files are opened {when} (`seen`): the agency and every colleague see "
    "that the system user has seen them, and that cannot be taken back; "
)
_WHEN = {"stored": "as soon as their letters are stored", "allowed": "to fetch them"}
_CHECKED = 10
"""Of how many organisations the services are checked, where one system user acts for all."""


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


def check_searches(
    client: DialogClient, holder_of: Callable[[str], str], parties: Sequence[str]
) -> Iterator[Finding]:
    """Search once as each system user.

    What it may not read of an organisation is silence there, which no search can tell from nothing.
    """
    first = {holder_of(party): party for party in reversed(parties)}
    for holder, party in reversed(first.items()):
        subject = f"{holder} dialogs"
        try:
            client.changed(holder, [party], datetime.now(UTC))
        except PartyRefused as error:
            yield Finding(subject=subject, ok=False, text=str(error))
        except MailboxError as error:
            yield Finding(subject=subject, ok=False, text=f"{error}{REST}")
            return
        else:
            yield Finding(subject=subject, ok=True, text="Dialogporten answers the system user")


def check_found_parties(
    find: Callable[[], Sequence[NamedParty]], use: Callable[[Sequence[str]], None]
) -> Finding:
    """Ask for which organisations the system user may act, and check those."""
    subject = "organisations"
    try:
        found = find()
    except MailboxError as error:
        return Finding(subject=subject, ok=False, text=str(error))
    use([each.number for each in found])
    if not found:
        text = (
            "the system user may not act for any organisation; a delegation that is less than a "
            "quarter of an hour old does not show yet: wait, and check again"
        )
        return Finding(subject=subject, ok=False, text=text)
    checked = f"; the first {_CHECKED} are checked" * (len(found) > _CHECKED)
    return Finding(
        subject=subject, ok=True, text=f"the system user may act for {len(found)}{checked}"
    )


def first_parties(channels: Sequence[Channel], system_user: str | None) -> Sequence[Channel]:
    """Return the channels of the first few organisations, where one system user acts for all."""
    if system_user is None:
        return channels
    first = list(dict.fromkeys(each.party for each in channels))[:_CHECKED]
    return [each for each in channels if each.party in first]


def check_owners(owners: Mapping[str, OwnerRule]) -> Iterator[Finding]:
    """Say for each configured owner what its rule allows; a mark cannot be taken back."""
    for code, rule in owners.items():
        when = _WHEN.get(rule.seen, "")
        text = f"{_MARKS.format(when=when) if when else ''}{_files_of(rule)}"
        yield Finding(subject=f"owner {code}", ok=True, warning=bool(when), text=text)


def _files_of(rule: OwnerRule) -> str:
    if not rule.hosts:
        return "no files: `hosts` is empty"
    if rule.lacks_scope:
        return "no files: `scope` is not set, and `token` is not none"
    return f"files are fetched from {', '.join(rule.hosts)} only"
