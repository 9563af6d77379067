"""The Altinn 3 mailbox where rights are missing, and on a platform that shakes."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from connectors.mailboxes.altinn3 import Altinn3, connect
from connectors.net.http_client import HttpClient
from connectors.sandbox.altinn3 import faults
from connectors.sandbox.altinn3.server import FakeAltinn
from connectors.sandbox.letters import PretendAttachment
from daemon.core.errors import AccessRefused, MailboxError, MailboxUnavailable
from daemon.core.model import LetterRef, Part
from daemon.core.ports import Channel
from tests.connectors.altinn3_post import (  # noqa: F401  # the fixture is found by its import
    ADMINISTRATION,
    CONFIDENTIAL,
    OTHER,
    PARTY,
    QUICK,
    TAX,
    Post,
    new_post,
    read_settings,
)


@pytest.fixture(params=["list", "bell"])
def waking(request: pytest.FixtureRequest) -> str:
    """All of it holds for letters that are found in lists, and for those that the bell finds."""
    return str(request.param)


# Rights and tokens


def test_a_right_that_is_missing_names_itself_and_concerns_nobody_else(post: Post) -> None:
    """4001 is a right, not a dead token: it is told with party and resource, costs no new token,
    and other resources go on."""
    ref = post.publish(resource=TAX)
    post.altinn.revoke(post.client.client_id, PARTY, [TAX])
    for use in (lambda: post.refs(TAX), lambda: post.mailbox.fetch(ref)):
        with pytest.raises(AccessRefused, match=f"{PARTY}.*{TAX}.*4001"):
            use()
    assert post.refs() == {}
    assert post.refs(TAX, OTHER) == {}
    assert post.altinn.count("token") == 2 + (post.waking == "bell")  # one for each party, its own


def test_a_token_that_is_revoked_half_way_is_renewed(post: Post) -> None:
    """401 without a code costs one new token, and the call succeeds; downloads are no exception."""
    ref = post.publish(PretendAttachment(content=b"x"))
    part = post.mailbox.fetch(ref).parts[0]
    for use in (
        lambda: post.mailbox.fetch(ref),
        lambda: post.read(ref, part),
        lambda: post.mailbox.mark_read(ref),
    ):
        post.altinn.clock.advance(timedelta(seconds=2))
        post.altinn.revoke_tokens()
        post.altinn.forget_calls()
        use()
        assert post.altinn.count("token") == 1


def test_a_token_that_is_never_accepted_is_no_endless_loop(post: Post) -> None:
    """Two tokens that are refused end the call, with what to look at."""
    post.altinn.exchange.lifetime = timedelta(seconds=-3600)
    with pytest.raises(MailboxUnavailable, match=r"clock are right.*subscription_key"):
        post.refs()
    assert post.altinn.count("list") == 2


def test_the_gateway_gets_its_key(tmp_path: Path) -> None:
    """A subscription key goes with every call; without it the message says that one may be
    missing."""
    with FakeAltinn(subscription_key="hush") as altinn:
        client = altinn.ready_client()
        altinn.allow(client.client_id, PARTY, [ADMINISTRATION])
        with_key = connect(
            "altinn", read_settings(tmp_path, altinn, client, subscription_key="hush")
        )
        without = connect("altinn", read_settings(tmp_path, altinn, client))
        channel = next(each for each in with_key.channels() if each.resource == ADMINISTRATION)
        assert with_key.list(channel, None).refs == ()
        with pytest.raises(MailboxUnavailable, match="subscription_key"):
            without.list(channel, None)
        with_key.close()
        without.close()


def test_one_party_without_a_system_user_stands_alone(post: Post) -> None:
    """MP-303 for one party is told for that party only."""
    post.altinn.revoke(post.client.client_id, OTHER)
    ref = post.publish()
    with pytest.raises(AccessRefused, match=f"{OTHER}.*MP-303"):
        post.refs(party=OTHER)
    assert post.mailbox.fetch(ref)


def test_many_parties_cost_one_call_for_each_channel(post: Post, tmp_path: Path) -> None:
    """A quiet round over forty parties is one list call a channel, and one grant and one exchange a
    party, in the first round only."""
    parties = [
        number for number in map(_organisation_number, range(810_000_00, 810_000_60)) if number
    ][:40]
    for party in parties:
        post.altinn.allow(post.client.client_id, party, [ADMINISTRATION, TAX, CONFIDENTIAL])
    settings = read_settings(
        tmp_path, post.altinn, post.client, parties=parties, services=["4255/8", "4255/10"]
    )
    mailbox = connect("altinn", settings)
    with ThreadPoolExecutor(8) as pool:
        for tokens in (40, 0):
            post.altinn.forget_calls()
            assert all(
                not listing.refs
                for listing in pool.map(lambda each: mailbox.list(each, None), mailbox.channels())
            )
            assert (
                post.altinn.count("list"),
                post.altinn.count("token"),
                post.altinn.count("exchange"),
            ) == (120, tokens, tokens)
    mailbox.close()


def _organisation_number(eight: int) -> str | None:
    rest = (
        sum(
            weight * int(digit)
            for weight, digit in zip((3, 2, 7, 6, 5, 4, 3, 2), str(eight), strict=True)
        )
        % 11
    )
    return None if rest == 1 else f"{eight}{(11 - rest) % 11}"


# A shaky platform


SHAKES = (
    *(faults.status(code) for code in (429, 500, 502, 503, 504)),
    faults.status(429, retry_after="0"),
    faults.html_page(),
    faults.login_redirect(),
    faults.reset(),
    faults.lost_answer(),
    faults.cut_short(announced=True),
    faults.cut_short(announced=False),
    faults.drip(0.05),
    faults.wrong_bytes(),
    faults.gzip_bomb(16),
)


def _fetch_whole(post: Post, ref: LetterRef) -> bool:
    """The letter as the service fetches it: a part that is not what it should be is downloaded once
    more."""
    with suppress(MailboxError):
        return all(_is_whole(post, ref, part) for part in post.mailbox.fetch(ref).parts)
    return False


def _is_whole(post: Post, ref: LetterRef, part: Part) -> bool:
    return any(
        hashlib.md5(post.read(ref, part), usedforsecurity=False).hexdigest() == part.sender_checksum
        for _ in range(2)
    )


def test_a_storm_passes(post: Post) -> None:
    """With every tenth call failing in one of fifteen ways, all letters arrive whole in a few
    rounds, with less than twice the calls."""
    refs = [
        post.publish(PretendAttachment(content=bytes(2000)), PretendAttachment(size=100_000))
        for _ in range(60)
    ]
    post.altinn.forget_calls()
    post.altinn.faults.storm(0.1, SHAKES)
    left = refs
    with ThreadPoolExecutor(8) as pool:
        for _ in range(6):
            arrived = list(pool.map(lambda ref: _fetch_whole(post, ref), left))
            left = [ref for ref, whole in zip(left, arrived, strict=True) if not whole]
    assert not left
    assert sum(post.altinn.faults.hits.values()) > 10
    assert post.altinn.count() < 2 * (3 * len(refs))


def test_an_outage_is_found_over_at_the_next_poll(post: Post) -> None:
    """While Altinn is down few calls are made; when it is back, the first poll after the pause
    reads everything."""
    ref = post.publish()
    seconds = [0.0]
    mailbox = Altinn3(
        "altinn",
        post.settings,
        HttpClient(longest_pause=300, timeouts=QUICK, clock=lambda: seconds[0]),
    )
    post.altinn.forget_calls()
    post.altinn.faults.inject(faults.status(503), times=None)
    with ThreadPoolExecutor(8) as pool:
        for _ in range(12):
            assert list(pool.map(lambda each: _listed(mailbox, each), mailbox.channels())) == [
                None
            ] * len(mailbox.channels())
            seconds[0] += 300
        assert post.altinn.count() < 40
        post.altinn.faults.clear()
        listed = list(pool.map(lambda each: _listed(mailbox, each), mailbox.channels()))
    assert [each for each in listed if each] == [(ref,)]
    assert None not in [
        each
        for each, channel in zip(listed, mailbox.channels(), strict=True)
        if not channel.presumed
    ]
    mailbox.close()


def _listed(mailbox: Altinn3, channel: Channel) -> tuple[LetterRef, ...] | None:
    with suppress(MailboxError):
        return mailbox.list(channel, None).refs
    return None
