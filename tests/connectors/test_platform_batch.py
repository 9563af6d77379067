"""Letters and attachments of several parties at once in one thread, as their system users."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta

import pytest

from connectors.altinn3.correspondence import Correspondence
from connectors.altinn3.platform import Platform
from connectors.altinn3.platform_batch import PlatformCall
from connectors.net.http_batch import Sink
from connectors.net.http_response import HttpResponse, json_object
from connectors.sandbox.letters import PretendAttachment
from daemon.core.errors import AccessRefused, MailboxUnavailable
from daemon.core.model import LetterRef
from tests.connectors.altinn3_post import (  # noqa: F401  # the fixture is found by its import
    OTHER,
    PARTY,
    Post,
    new_post,
)

_PATH = "/correspondence/api/v1/correspondence"


@pytest.fixture(name="platform")
def new_platform(post: Post) -> Platform:
    correspondence = post.mailbox._correspondence
    assert isinstance(correspondence, Correspondence)
    return correspondence._platform


def overview(ref: LetterRef) -> PlatformCall:
    return PlatformCall(party=ref.party, path=f"{_PATH}/{ref.external_id}", parse=json_object)


def _pour(pieces: list[bytes]) -> Callable[[Mapping[str, str]], Sink]:
    return lambda _: pieces.append


def test_letters_and_their_attachments_come_in_one_batch(post: Post, platform: Platform) -> None:
    """Each overview leads to its downloads in the same batch; all bytes arrive, and one token of
    each party is enough."""
    refs = [
        post.publish(PretendAttachment(content=bytes([number]) * 200_000), party=party)
        for number, party in enumerate((PARTY, OTHER) * 5)
    ]
    post.altinn.forget_calls()
    bodies: list[list[bytes]] = []
    with platform.batch(8) as batch:
        for ref in refs:
            batch.add(overview(ref))
        for call, outcome in batch:
            assert isinstance(outcome, HttpResponse)
            if call.parse:
                (attachment,) = outcome.value["content"]["attachments"]
                pieces: list[bytes] = []
                bodies.append(pieces)
                path = f"{call.path}/attachment/{attachment['id']}/download"
                batch.add(PlatformCall(party=call.party, path=path, into=_pour(pieces)))
    assert {b"".join(each) for each in bodies} == {bytes([n]) * 200_000 for n in range(10)}
    assert post.altinn.count("token") == 0


def test_tokens_that_are_revoked_half_way_are_renewed(post: Post, platform: Platform) -> None:
    """A refused token costs its call one more, and all calls together one new token."""
    refs = [post.publish() for _ in range(6)]
    post.altinn.clock.advance(timedelta(seconds=2))
    post.altinn.revoke_tokens()
    post.altinn.forget_calls()
    with platform.batch(3) as batch:
        for ref in refs:
            batch.add(overview(ref))
        told = [outcome for _, outcome in batch]
    assert [each.status for each in told if isinstance(each, HttpResponse)] == [200] * 6
    assert post.altinn.count("token") == 1


def test_tokens_that_are_never_accepted_end_each_call(post: Post, platform: Platform) -> None:
    """Two refused tokens end a call, with what to look at."""
    ref = post.publish()
    post.altinn.exchange.lifetime = timedelta(seconds=-3600)
    post.altinn.clock.advance(timedelta(seconds=2))
    post.altinn.revoke_tokens()
    with platform.batch(3) as batch:
        batch.add(overview(ref))
        ((_, outcome),) = batch
    assert isinstance(outcome, MailboxUnavailable)
    assert "subscription_key" in str(outcome)


def test_a_party_without_a_system_user_stands_alone_in_a_batch(
    post: Post, platform: Platform
) -> None:
    """What is refused for one party is the result of its calls, and the others' go on."""
    ref = post.publish()
    post.altinn.revoke(post.client.client_id, OTHER)
    with platform.batch(3) as batch:
        batch.add(PlatformCall(party=OTHER, path=f"{_PATH}/x", parse=json_object))
        batch.add(overview(ref))
        told = {call.party: outcome for call, outcome in batch}
    assert isinstance(told[OTHER], AccessRefused)
    assert isinstance(told[PARTY], HttpResponse)
