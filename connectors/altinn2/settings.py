"""The options of an Altinn 2 mailbox that need more than a type: what is refused, and why."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator

from connectors.net.settings import is_safe


def _some_text(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty; write what the system that you log in to has given you")
    return text


SomeText = Annotated[str, AfterValidator(_some_text)]
"""A text that says something."""


def _address(url: str) -> str:
    host = (urlsplit(url).hostname or "").rstrip(".").lower()
    if host == "altinn.no" or host.endswith(".altinn.no"):
        raise ValueError(
            f"names Altinn's own host {host}, where Altinn 2 was switched off in June 2026: "
            'nothing answers there any more; for letters from Altinn use type = "altinn3"'
        )
    if not is_safe(url):
        raise ValueError(
            "is not an https address; passwords would be sent unencrypted, so write one that "
            "begins with https://"
        )
    return url.rstrip("/")


Address = Annotated[str, AfterValidator(_address)]
"""Where the interfaces are, without a slash at its end; never a host of Altinn's own."""


def _read_when_fetched(policy: object) -> object:
    if policy == "never":
        raise ValueError(
            "is not possible: Altinn 2 marks a letter as read when it is opened, and it cannot be "
            'fetched otherwise; write "fetched", or leave the key out'
        )
    if policy != "fetched":
        raise ValueError(
            'can only be "fetched": Altinn 2 marks a letter as read when it is opened, neither '
            "earlier nor later"
        )
    return policy


ReadWhenFetched = Annotated[Literal["fetched"], BeforeValidator(_read_when_fetched)]
"""When a letter counts as read."""


def _never_fetched(confidential: object) -> object:
    if confidential == "fetch":
        raise ValueError(
            "is not possible: Altinn 2 marks a letter as read when it is opened, and a "
            "confidential letter must not be marked as read before it is known that someone is "
            'appointed for it; write "list" or "off"'
        )
    return confidential


ConfidentialPost = Annotated[Literal["list", "off"], BeforeValidator(_never_fetched)]
"""What is done about confidential post: it is listed, or left alone."""
