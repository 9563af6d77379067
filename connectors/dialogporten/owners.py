"""The owner table: what may be done with the dialogs of each agency, `[mailbox.NAME.owners.CODE]`.

Nothing is called that a rule does not allow. The defaults are what is known from public code
(navikt/hag-dialog, navikt/esyfo-narmesteleder); an owner that is not in the table has the rule of
`DEFAULT`: titles and texts, and no files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from connectors.net.diagnostics import is_host, is_loopback
from connectors.net.settings import is_safe
from daemon.core.settings import OrganisationNumber

_MIB = 1024 * 1024


def _origin(text: str) -> str:
    """Return a host, or a whole address on this machine. Raises ValueError."""
    if text.startswith("http://") and is_safe(text) and re.fullmatch(r"http://[^/?#]+", text):
        return text.lower()
    if not is_host(text) or is_loopback(text) or re.fullmatch(r"[0-9.]+|.*:.*|\[.*", text):
        raise ValueError(
            f"{text!r} is not a valid server name; write it alone, such as "
            '"sykepenger-api.nav.no", without https:// and without a path'
        )
    return text.lower()


class TokenKind(StrEnum):
    """The kinds of token that an owner's files can need."""

    NONE = "none"
    MASKINPORTEN = "maskinporten"
    ALTINN = "altinn"


class OwnerRule(BaseModel):
    """What may be done with the dialogs of one owner."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    take: bool = True
    """Whether its letters are taken at all."""
    hosts: tuple[Annotated[str, AfterValidator(_origin)], ...] = ()
    """Where its files may be fetched, and tokens for it be sent."""
    scope: str = ""
    """The scope of the token that its files need."""
    token: TokenKind = TokenKind.MASKINPORTEN
    """The kind of token; `none` where files need none, such as signed addresses."""
    addresses: tuple[Literal["api", "gui"], ...] = ("api",)
    """Which addresses are tried, in this order; those for people usually lead to a log-in."""
    largest_file: int = Field(default=250, ge=1)
    """In MiB."""
    title: Literal["show", "hide"] = "show"
    """`hide` where titles hold personal data: they and the names of files are replaced, and are in
    the properties only."""
    seen: Literal["never", "stored", "allowed"] = "never"
    """Whether its dialogs may be opened for their files, once their letters are stored or whenever
    needed; it leaves a mark that cannot be taken back."""
    name: str = ""
    """The owner's name, where a dialog has no sender."""
    organisation: OrganisationNumber | None = None

    @model_validator(mode="after")
    def _token_needs_hosts(self) -> OwnerRule:
        if self.scope and not self.hosts:
            raise ValueError(
                "has a scope without hosts; write the servers to which its token may be sent"
            )
        return self

    @property
    def lacks_scope(self) -> bool:
        """Whether its files need a token that cannot be requested."""
        return self.token is not TokenKind.NONE and not self.scope

    @property
    def bytes_at_most(self) -> int:
        """The largest file, in bytes."""
        return self.largest_file * _MIB


DEFAULT = OwnerRule()
"""The rule of an owner that is not in the table."""
KNOWN_OWNERS: Mapping[str, OwnerRule] = MappingProxyType(
    {
        "nav": OwnerRule(
            name="Arbeids- og velferdsetaten (NAV)",
            organisation="889640782",
            hosts=("sykepenger-api.nav.no",),
            title="hide",
        ),
        "skd": OwnerRule(name="Skatteetaten", organisation="974761076"),
        "brg": OwnerRule(name="Brønnøysundregistrene", organisation="974760673"),
        "digdir": OwnerRule(name="Digitaliseringsdirektoratet", organisation="991825827"),
    }
)
"""The defaults, by the owner's code; a table of the configuration for a code replaces its rule."""


def rule_of(owners: Mapping[str, OwnerRule], code: str) -> OwnerRule:
    """Return the rule for an owner."""
    return owners.get(code) or KNOWN_OWNERS.get(code) or DEFAULT
