"""Prove step by step that a mailbox can be read: key, grant, exchange, the rights of each party.

Changes nothing.

The check ends at a failure that all parties share, of Maskinporten, the exchange or Correspondence,
so that it is reported once only.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from datetime import date
from urllib.parse import urlsplit

from joserfc.jwk import RSAKey

from connectors.altinn3.discovery import Discovery
from connectors.altinn3.maskinporten import Tokens
from connectors.altinn3.registry import guess_service
from connectors.altinn3.token_life import READ
from connectors.altinn3.token_refusals import PartyRefused
from connectors.net.circuit_breaker import HostUnavailable
from daemon.core.dpv import CONFIDENTIAL_POST, find_service
from daemon.core.errors import AccessRefused, MailboxError
from daemon.core.ports import Channel, Finding
from daemon.core.proxies import Proxies

_NAMED_AT_MOST = 10
REST = ". The rest of this mailbox is not checked until that is fixed"
"""Said of a fault that would repeat itself."""
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


def check_proxies(proxies: Proxies, *urls: str) -> Iterator[Finding]:
    """Say which proxy the addresses are called through; nothing if they are called directly."""
    for url in urls:
        if how := proxies.through(url):
            text = f"{urlsplit(url).hostname} is called {how}"
            yield Finding(subject="proxy", ok=True, text=text)


def check_registry(
    find: Callable[[], Mapping[str, Sequence[str]]],
    use: Callable[[Mapping[str, Sequence[str]]], None],
    services: Collection[str],
) -> Finding:
    """Ask the registry which resources carry the `services`, and check those."""
    try:
        found = find()
    except MailboxError as error:
        text = f"{error}. The resources that Postmottak knows by name are checked instead"
        return Finding(subject="resource registry", ok=True, warning=True, text=text)
    use(found)
    found = {code: ids for code, ids in found.items() if code in services}
    number = sum(map(len, found.values()))
    carry = "resource carries" if number == 1 else "resources carry"
    text = f"{number} {carry} {len(found)} of the configured services"
    return Finding(subject="resource registry", ok=True, warning=not found, text=text)


def check_parties(
    channels: Sequence[Channel], tokens: Tokens, discovery: Discovery
) -> Iterator[Finding]:
    """Check each party of `channels`, in their order.

    Guesses that cannot be read are reported together, at the end.
    """
    guesses: dict[str, set[str]] = {}
    for party in dict.fromkeys(each.party for each in channels):
        own = [each for each in channels if each.party == party]
        if not (yield from _check_party(party, own, tokens, discovery, guesses)):
            break
    if guesses:
        yield _only_guesses(guesses)


def _check_party(
    party: str,
    channels: Sequence[Channel],
    tokens: Tokens,
    discovery: Discovery,
    guesses: dict[str, set[str]],
) -> Generator[Finding, None, bool]:
    """Check one party. Return whether it makes sense to check the next.

    Services that nothing but a guess could carry are added to `guesses`, with the parties.
    """
    subject = f"{party} Maskinporten"
    try:
        granted = tokens.grant(party, READ)
    except PartyRefused as error:
        yield Finding(subject=subject, ok=False, text=str(error))
        return True
    except MailboxError as error:
        yield Finding(subject=subject, ok=False, text=f"{error}{REST}")
        return False
    yield Finding(
        subject=subject, ok=True, text=f"issued a token for the party's system user{_clock(tokens)}"
    )
    try:
        _, lifetime = tokens.exchange(granted)
    except MailboxError as error:
        yield Finding(subject=f"{party} Altinn", ok=False, text=f"{error}{REST}")
        return False
    yield Finding(
        subject=f"{party} Altinn",
        ok=True,
        text=f"accepted it and issued its own, valid for {round(lifetime)} seconds",
    )
    return (yield from _check_services(party, channels, discovery, guesses))


def _clock(tokens: Tokens) -> str:
    off = tokens.clock_behind
    if abs(off) < _CLOCK_OFF:
        return ""
    return (
        f", though this machine's clock is {abs(off):.0f} seconds "
        f"{'behind' if off > 0 else 'ahead'}; set it, for example with chrony"
    )


def _check_services(
    party: str,
    channels: Sequence[Channel],
    discovery: Discovery,
    guesses: dict[str, set[str]],
) -> Generator[Finding, None, bool]:
    for service in dict.fromkeys(each.service for each in channels):
        own = [each for each in channels if each.service == service]
        refusals = {each.resource: discovery.refusal(party, each.resource) for each in own}
        away = next((each for each in refusals.values() if isinstance(each, HostUnavailable)), None)
        if away:
            yield Finding(subject=_subject(party, service), ok=False, text=f"{away}{REST}")
            return False
        if finding := _judge_service(own, refusals, discovery):
            yield finding
        else:
            guesses.setdefault(service, set()).add(party)
    yield check_unclaimed(party, channels, discovery)
    return True


def _subject(party: str, service: str) -> str:
    known = find_service(service)
    return f"{party} {service} {known.nb if known else ''}".rstrip()


def _judge_service(
    channels: Sequence[Channel], refusals: dict[str, MailboxError | None], discovery: Discovery
) -> Finding | None:
    """Report whether a party's service can be read through at least one of its resources.

    None if all of them are guesses that cannot be read.
    """
    subject = _subject(channels[0].party, channels[0].service)
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
    if channels[0].service == CONFIDENTIAL_POST.code:
        text = f"no access, so it cannot be seen whether any waits; {_CONFIDENTIAL}"
        return Finding(subject=subject, ok=True, warning=True, text=text)
    return None


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


def _only_guesses(guesses: Mapping[str, Collection[str]]) -> Finding:
    """Report the services for which no resource is known, all in one line."""
    services = ", ".join(sorted(guesses, key=_number))
    parties = len({party for each in guesses.values() for party in each})
    whose = f" of {parties} organisations" if parties > 1 else ""
    text = (
        f"no letter of {services}{whose} can arrive: no resource is known to carry them, and the "
        "names that Postmottak tried cannot be read. `postmottak discover` lists what there is; "
        "write the resources under `resources`, or remove the services from `services`"
    )
    return Finding(subject="services without a resource", ok=True, warning=True, text=text)


def _number(code: str) -> tuple[int, ...]:
    return tuple(int(each) for each in code.split("/"))


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
