"""Prove step by step that a mailbox can be read: key, grant, exchange, the rights of each party.

Changes nothing.

The check ends at a failure that all parties share, of Maskinporten, the exchange or Correspondence,
so that it is reported once only.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from datetime import date

from joserfc.jwk import RSAKey

from connectors.altinn3.discovery import Discovery, guess_service
from connectors.altinn3.maskinporten import Tokens
from connectors.altinn3.platform import READ
from connectors.altinn3.token_refusals import PartyRefused
from connectors.net.circuit_breaker import HostUnavailable
from daemon.core.dpv import CONFIDENTIAL_POST, find_service
from daemon.core.errors import AccessRefused, MailboxError
from daemon.core.ports import Channel, Finding

_NAMED_AT_MOST = 10
_REST = ". The rest of this mailbox is not checked until that is fixed"
_CLOCK_OFF = 1.0  # seconds; a larger difference is reported
_ORDINARY = "the access package is usually Ordinær post til virksomheten"
_CONFIDENTIAL = (
    "the access package is Post til virksomheten med taushetsbelagt innhold, which only the main "
    'administrator can give; or set confidential = "off"'
)


def check_key(key: RSAKey, key_id: str, last_day: date | None, today: date) -> Finding:
    """Report which key is used, and until when it is valid.

    The key itself was read with the configuration.
    """
    text = f"an RSA key of {key.raw_value.key_size} bits, sent as {key_id}"
    if last_day is None:
        return Finding(
            subject="key",
            ok=True,
            text=f"{text}; write its last day as `key_expires` to be notified before it expires",
        )
    if last_day < today:
        remedy = (
            "make a new one with `postmottak key new`, which says what to register and change, or "
            "register the same one again, and update `key_expires`"
        )
        return Finding(
            subject="key",
            ok=False,
            text=f"{text}; it expired: its last day was {last_day}. To fix it, {remedy}",
        )
    return Finding(subject="key", ok=True, text=f"{text}, valid until {last_day}")


def check_parties(
    channels: Sequence[Channel], tokens: Tokens, discovery: Discovery
) -> Iterator[Finding]:
    """Check each party of `channels`, in their order."""
    for party in dict.fromkeys(each.party for each in channels):
        own = [each for each in channels if each.party == party]
        if not (yield from _check_party(party, own, tokens, discovery)):
            return


def _check_party(
    party: str, channels: Sequence[Channel], tokens: Tokens, discovery: Discovery
) -> Generator[Finding, None, bool]:
    """Check one party. Return whether it makes sense to check the next."""
    subject = f"{party} Maskinporten"
    try:
        granted = tokens.grant(party, READ)
    except PartyRefused as error:
        yield Finding(subject=subject, ok=False, text=str(error))
        return True
    except MailboxError as error:
        yield Finding(subject=subject, ok=False, text=f"{error}{_REST}")
        return False
    yield Finding(
        subject=subject, ok=True, text=f"issued a token for the party's system user{_clock(tokens)}"
    )
    try:
        _, lifetime = tokens.exchange(granted)
    except MailboxError as error:
        yield Finding(subject=f"{party} Altinn", ok=False, text=f"{error}{_REST}")
        return False
    yield Finding(
        subject=f"{party} Altinn",
        ok=True,
        text=f"accepted it and issued its own, valid for {round(lifetime)} seconds",
    )
    return (yield from _check_services(party, channels, discovery))


def _clock(tokens: Tokens) -> str:
    off = tokens.clock_behind
    if abs(off) < _CLOCK_OFF:
        return ""
    return (
        f", though this machine's clock is {abs(off):.0f} seconds "
        f"{'behind' if off > 0 else 'ahead'}; set it, for example with chrony"
    )


def _check_services(
    party: str, channels: Sequence[Channel], discovery: Discovery
) -> Generator[Finding, None, bool]:
    for service in dict.fromkeys(each.service for each in channels):
        own = [each for each in channels if each.service == service]
        refusals = {each.resource: discovery.refusal(party, each.resource) for each in own}
        away = next((each for each in refusals.values() if isinstance(each, HostUnavailable)), None)
        if away:
            yield Finding(subject=_subject(party, service), ok=False, text=f"{away}{_REST}")
            return False
        yield _judge_service(own, refusals, discovery)
    yield check_unclaimed(party, channels, discovery)
    return True


def _subject(party: str, service: str) -> str:
    known = find_service(service)
    return f"{party} {service} {known.nb if known else ''}".rstrip()


def _judge_service(
    channels: Sequence[Channel], refusals: dict[str, MailboxError | None], discovery: Discovery
) -> Finding:
    """Report whether a party's service can be read through at least one of its resources."""
    service, subject = channels[0].service, _subject(channels[0].party, channels[0].service)
    troubles = [
        _trouble(each, refusal, discovery)
        for each in channels
        if not each.presumed and (refusal := refusals[each.resource])
    ]
    if troubles:
        return Finding(subject=subject, ok=False, text="; ".join(troubles))
    readable = [resource for resource, refusal in refusals.items() if refusal is None]
    if readable:
        return Finding(subject=subject, ok=True, text=f"can be read through {', '.join(readable)}")
    return Finding(subject=subject, ok=True, text=_only_presumed(refusals, service))


def _trouble(channel: Channel, refusal: MailboxError, discovery: Discovery) -> str:
    try:
        if discovery.names(channel.resource) is None:
            return (
                f"the resource registry has no {channel.resource}: look for a typing mistake in "
                "`resources`"
            )
    except MailboxError:
        pass  # the registry only helps to explain
    if not isinstance(refusal, AccessRefused):
        return str(refusal)
    return f"{refusal}; {_CONFIDENTIAL if channel.service == CONFIDENTIAL_POST.code else _ORDINARY}"


def _only_presumed(refusals: dict[str, MailboxError | None], service: str) -> str:
    return (
        f"no access; {', '.join(refusals)} was only a guess. If letters come through another "
        f"resource, add it to `resources` under {service!r}; if there are none, remove the "
        "service from `services`"
    )


def check_unclaimed(party: str, channels: Sequence[Channel], discovery: Discovery) -> Finding:
    """Report resources with letters for the party that no channel reads."""
    subject, in_use = f"{party} other resources", discovery.in_use(party)
    if in_use.remark:
        return Finding(
            subject=subject, ok=True, text=f"unknown, which does no harm. {in_use.remark}"
        )
    others = sorted(set(in_use.names) - {each.resource for each in channels})
    if not others:
        return Finding(subject=subject, ok=True, text="no other resources in use")
    named = [_with_guess(each, guess_service(each, in_use.names[each])) for each in others]
    named[_NAMED_AT_MOST:] = ["…"] if len(named) > _NAMED_AT_MOST else []
    text = (
        f"{len(others)} in use that belong to no service, so letters there are not fetched: "
        f"{', '.join(named)};"
    )
    return Finding(
        subject=subject, ok=True, text=f"{text} add the ones that you want to `resources`"
    )


def _with_guess(resource: str, service: str | None) -> str:
    return f"{resource} (probably {service})" if service else resource
