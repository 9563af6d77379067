"""Proves step by step that a mailbox can be read: key, grant, exchange, the rights of each party. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from joserfc.jwk import RSAKey

from connectors.altinn.discovery import Discovery, guess_service
from connectors.altinn.platform import READ
from connectors.maskinporten import Tokens
from daemon.dpv import find_service
from daemon.errors import MailboxError
from daemon.ports import Channel, Finding

_NAMED_AT_MOST = 10


def check_key(key: RSAKey, key_id: str) -> Finding:
    """The key was read when the configuration was; what is left is to say which."""
    return Finding(subject="key", ok=True, text=f"an RSA key of {key.raw_value.key_size} bits, sent as {key_id}")


def check_party(party: str, channels: Sequence[Channel], tokens: Tokens, discovery: Discovery) -> Iterator[Finding]:
    """The steps for one party, whose channels are `channels`; they end at the first without which the others make no sense."""
    try:
        granted = tokens.grant(party, READ)
        yield Finding(subject=f"{party} Maskinporten", ok=True, text="gives a token for the party's system user")
    except MailboxError as error:
        yield Finding(subject=f"{party} Maskinporten", ok=False, text=str(error))
        return
    try:
        _, lifetime = tokens.exchange(granted)
        yield Finding(subject=f"{party} Altinn", ok=True, text=f"takes it, and gives one that is good for {round(lifetime)} seconds")
    except MailboxError as error:
        yield Finding(subject=f"{party} Altinn", ok=False, text=str(error))
        return
    for service in dict.fromkeys(each.service for each in channels):
        yield check_service([each for each in channels if each.service == service], discovery)
    yield check_unclaimed(party, channels, discovery)


def check_service(channels: Sequence[Channel], discovery: Discovery) -> Finding:
    """Whether one service of one party can be read through at least one of its resources."""
    party, service = channels[0].party, channels[0].service
    known = find_service(service)
    subject = f"{party} {service} {known.nb if known else ''}".rstrip()
    refusals = {each.resource: discovery.refusal(party, each.resource) for each in channels}
    readable = [resource for resource, refusal in refusals.items() if refusal is None]
    troubles = [_trouble(each, refusals[each.resource], discovery) for each in channels if not each.presumed and refusals[each.resource]]
    if troubles:
        return Finding(subject=subject, ok=False, text="; ".join(troubles))
    if readable:
        return Finding(subject=subject, ok=True, text=f"can be read through {', '.join(readable)}")
    return Finding(subject=subject, ok=True, text=_only_presumed(refusals, service))


def _trouble(channel: Channel, refusal: MailboxError | None, discovery: Discovery) -> str:
    try:
        if discovery.names(channel.resource) is None:
            return f"the resource registry knows no {channel.resource}: look for a typing mistake in `resources`"
    except MailboxError:
        pass  # the registry only helps to explain
    return str(refusal)


def _only_presumed(refusals: dict[str, MailboxError | None], service: str) -> str:
    return (
        f"nobody may read it: {', '.join(refusals)} was only presumed, and cannot be read. If letters come through another resource,"
        f" name that in `resources` under {service!r}; if there are none, take the service out of `services`"
    )


def check_unclaimed(party: str, channels: Sequence[Channel], discovery: Discovery) -> Finding:
    """Whether the party has letters in resources that are not listed."""
    subject, in_use = f"{party} other resources", discovery.in_use(party)
    if in_use.remark:
        return Finding(subject=subject, ok=True, text=f"not known, which does no harm. {in_use.remark}")
    others = sorted(set(in_use.names) - {each.resource for each in channels})
    if not others:
        return Finding(subject=subject, ok=True, text="there are none in use that could be read and are not")
    named = [_with_guess(each, guess_service(each, in_use.names[each])) for each in others]
    named[_NAMED_AT_MOST:] = ["…"] if len(named) > _NAMED_AT_MOST else []
    text = f"{len(others)} in use that no service claims, so that letters there are not fetched: {', '.join(named)};"
    return Finding(subject=subject, ok=True, text=f"{text} name those that are wanted in `resources`")


def _with_guess(resource: str, service: str | None) -> str:
    return f"{resource} (by its name {service})" if service else resource
