"""What Altinn 2's faults mean.

A fault's own text is never quoted, because it may name people.

Numbers: Altinn/docs `api/soap/teknisk-implementasjon` and `api/tjenesteeiere/soap/feilkoder`. Some
of them have many causes.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from daemon.core.errors import AccessRefused, MailboxError, MailboxUnavailable

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

_NAMESPACE = "{http://www.altinn.no/services/common/fault/2009/10}"
_LOGIN = (
    "it does not accept the system's or the user's password or PIN, or one of them is locked or "
    "used up, or the user may not read for the party: check all of them before the next attempt, "
    "because ten failures in two hours lock the user for an hour"
)
_LEVEL = (
    "the letter needs a higher security level than the user has: open it in Altinn, or log in "
    "with the level that it needs"
)
_REFUSALS = MappingProxyType({
    0: _LOGIN,
    5: _LOGIN,
    989: _LOGIN,
    14: (
        "the user lacks the right: delegate the role Post/arkiv to the user, or for confidential "
        "post Taushetsbelagt post"
    ),
    17: _LEVEL,
    18: _LEVEL,
    19: _LEVEL,
    20: _LEVEL,
    21: _LEVEL,
    30001: "the user may not act for the party: delegate the role Post/arkiv to the user",
    30003: "it has no such service",
})  # fmt: skip  # one line for each
_TROUBLE = MappingProxyType({
    1: "it had an internal error (null reference); it is tried again at the next poll",
    10000: "its database refuses it; it is tried again at the next poll",
    60035: "the letter is in the archive already",
})  # fmt: skip  # one line for each

LOGIN = frozenset({0, 5, 989})
"""Numbers after which the same password must not be tried again at once."""


@dataclass(frozen=True, kw_only=True)
class AltinnFault:
    """What may be quoted of a fault: its number, and the id that Altinn's support asks for."""

    number: int
    guid: str

    def error(self, about: str) -> MailboxError:
        """Return the fault as an error. `about` is what was requested."""
        words = (
            _REFUSALS.get(self.number)
            or _TROUBLE.get(self.number)
            or "it gives no documented reason; ask Altinn's support"
        )
        text = (
            f"Altinn 2 refuses {about}: {words} (ErrorID {self.number}, ErrorGuid "
            f"{self.guid or 'none'})"
        )
        return AccessRefused(text) if self.number in _REFUSALS else MailboxUnavailable(text)


def fault_in(detail: Element | None) -> AltinnFault | None:
    """Return the AltinnFault in a SOAP fault's detail; None if there is none, as from a gateway."""
    found = detail.find(f".//{_NAMESPACE}AltinnFault") if detail is not None else None
    if found is None:
        return None
    number = found.findtext(f"{_NAMESPACE}ErrorID", "").strip()
    guid = found.findtext(f"{_NAMESPACE}ErrorGuid", "").strip()
    plain = guid if guid.isascii() and guid.replace("-", "").isalnum() else ""
    return AltinnFault(
        number=int(number) if number.isascii() and number.isdigit() else -1, guid=plain[:64]
    )
