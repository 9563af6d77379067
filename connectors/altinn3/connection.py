"""How mailboxes that are read as a system user reach Maskinporten and Altinn: in one way."""

from __future__ import annotations

from datetime import timedelta

from connectors.altinn3.maskinporten import Identity, Tokens
from connectors.altinn3.system_user_settings import SystemUserSettings
from connectors.net.http_client import HttpClient
from connectors.net.pacer import PACERS, Pacer
from connectors.net.timeouts import Timeouts

_LONGEST_PAUSE = timedelta(minutes=10)
_A_CALL = timedelta(seconds=Timeouts().whole)
_REFUSAL_LASTS = timedelta(seconds=30)


def http_client_of(settings: SystemUserSettings) -> HttpClient:
    """Make the mailbox's client; no connection is opened yet."""
    return HttpClient(
        longest_pause=longest_pause(settings.poll_every).total_seconds(),
        ca_file=settings.ca_file,
        proxies=settings.proxies,
        pacer=pacer_of(settings),
    )


def longest_pause(poll_every: timedelta) -> timedelta:
    """Return how long a failing host is left alone.

    The next poll tries it, even if the last call took long to fail.
    """
    pause = min(_LONGEST_PAUSE, poll_every)
    return max(pause / 2, pause - _A_CALL)


def pacer_of(settings: SystemUserSettings) -> Pacer:
    """Return the pace that all mailboxes of the client share."""
    return PACERS.of(settings.client_id, settings.platform_url, settings.calls_per_second)


def tokens_of(http: HttpClient, identity: Identity, settings: SystemUserSettings) -> Tokens:
    """Return the mailbox's tokens; a refusal is forgotten before the next poll."""
    lasts = min(_REFUSAL_LASTS, settings.poll_every / 2)
    return Tokens(http, identity, refusal_lasts=lasts.total_seconds())
