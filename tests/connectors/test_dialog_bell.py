"""The bell of an Altinn 3 mailbox: few calls, and no trace."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.altinn3.settings import Settings
from connectors.dialogporten.batch_size import BatchSize
from connectors.dialogporten.bell import DialogBell
from connectors.mailboxes.altinn3 import connect
from connectors.sandbox.altinn3 import faults
from connectors.sandbox.altinn3.access import READ_SCOPE
from connectors.sandbox.dialogs import PretendDialog
from connectors.sandbox.letters import PretendLetter
from daemon.core.bell import BellAnswer
from daemon.core.ports import Finding
from tests.connectors.altinn3_post import (
    ADMINISTRATION,
    OTHER,
    PARTY,
    TAX,
    Post,
    new_post,  # noqa: F401  # a fixture
    read_settings,
)


def ring(post: Post, *parties: str, back: timedelta = timedelta(minutes=10)) -> list[BellAnswer]:
    since = post.altinn.clock.now() - back
    return list(post.mailbox.ring(dict.fromkeys(parties or (PARTY, OTHER), since)))


def test_it_rings_for_letters_of_the_channels_only(post: Post) -> None:
    """Other dialogs, and letters of resources that the mailbox does not read, do not ring."""
    letter = post.altinn.publish(PretendLetter(party=PARTY))
    post.altinn.allow(post.client.client_id, PARTY, ["noe-annet"])
    post.altinn.publish(PretendLetter(party=PARTY, resource="noe-annet"))
    post.altinn.dialogs.add(PretendDialog(party=PARTY, resource=TAX))
    rings = [each for answer in ring(post) for each in answer.rings]
    assert [(each.party, each.resource) for each in rings] == [(PARTY, ADMINISTRATION)]
    ref = post.mailbox.letter_of(rings[0])
    assert ref
    assert ref == post.refs()[letter]
    assert post.altinn.count("overview") == 0
    assert not post.altinn.dialogs.seen_log()


def test_a_ring_is_another_one_when_something_changes(post: Post) -> None:
    """As long as nothing changes, its key is the same."""
    letter = post.altinn.publish(PretendLetter(party=PARTY))
    first, again = ring(post, PARTY), ring(post, PARTY)
    assert first[0].rings == again[0].rings
    mirror = post.altinn.dialogs.mirror_of(letter)
    assert mirror
    post.altinn.clock.advance(timedelta(seconds=1))
    post.altinn.dialogs.touch(mirror.id)
    assert ring(post, PARTY)[0].rings[0].key != first[0].rings[0].key


def test_a_long_answer_comes_whole(post: Post) -> None:
    """More dialogs than a page has are all there."""
    for _ in range(2100):
        post.altinn.publish(PretendLetter(party=PARTY))
    (answer,) = ring(post, PARTY)
    assert (len(answer.rings), answer.problem) == (2100, "")
    assert post.altinn.count("dialogsearch") == 3


def test_a_refusal_is_an_answer(post: Post) -> None:
    """Without the scope, or with an outage, each party's answer says why there is none."""
    post.altinn.faults.inject(faults.status(500), "dialogsearch", times=None)
    assert all(each.problem and not each.refused for each in ring(post))
    post.altinn.faults.clear()
    client = post.altinn.access.client(post.client.client_id)
    assert client
    client.scopes = frozenset({READ_SCOPE})
    post.altinn.revoke_tokens()
    assert all(each.problem and each.refused for each in ring(post))


def test_a_batch_adapts() -> None:
    """It is halved by what is slow or refused, and comes back in small steps, up to the limit."""
    size = BatchSize(100)
    size.answered(6.0, 100)
    assert size.now == 50
    size.refused(50)
    assert size.now == 25
    size.answered(0.1, 10)  # a rest says nothing about a full batch
    assert size.now == 25
    for _ in range(30):
        size.answered(0.1, size.now)
    assert size.now == 100
    size.limit(40)
    assert size.now == 40
    size.limit(80)
    assert size.now == 80


@pytest.fixture
def agent(post: Post) -> DialogBell:
    """A bell of an agent system user with 250 clients."""
    holder = PARTY
    for number in numbers(250):
        post.altinn.allow_client(post.client.client_id, holder, number, [ADMINISTRATION])
    mailbox = post.mailbox
    return DialogBell(mailbox._dialogs, lambda _: holder, lambda _: True, post.altinn.clock.now)


def numbers(count: int) -> list[str]:
    """Return valid organisation numbers."""
    weights = (3, 2, 7, 6, 5, 4, 3, 2)
    found: list[str] = []
    start = 91000000
    while len(found) < count:
        digits = f"{start}"
        start += 1
        rest = sum(w * int(d) for w, d in zip(weights, digits, strict=True)) % 11
        check = 0 if rest == 0 else 11 - rest
        if check < 10:
            found.append(f"{digits}{check}")
    return found


def test_an_agent_asks_for_a_hundred_at_a_time(post: Post, agent: DialogBell) -> None:
    """250 clients cost three searches with one token."""
    parties = numbers(250)
    post.altinn.publish(PretendLetter(party=parties[200]))
    since = post.altinn.clock.now() - timedelta(minutes=10)
    answers = list(agent.ring(dict.fromkeys(parties, since)))
    assert sorted(each for answer in answers for each in answer.parties) == sorted(parties)
    assert [each.party for answer in answers for each in answer.rings] == [parties[200]]
    assert (post.altinn.count("dialogsearch"), post.altinn.count("token")) == (3, 1)


def test_a_search_that_is_too_wide_is_split(post: Post, agent: DialogBell) -> None:
    """What Dialogporten cannot answer for a hundred, it is asked for fewer; all get an answer, and
    the next round begins with what it could take."""
    post.altinn.dialogporten.widest = 30
    parties = numbers(250)
    since = post.altinn.clock.now() - timedelta(minutes=10)
    answers = list(agent.ring(dict.fromkeys(parties, since)))
    assert sorted(each for answer in answers for each in answer.parties) == sorted(parties)
    assert not any(each.problem for each in answers)
    assert agent.size.now <= 30
    post.altinn.forget_calls()
    list(agent.ring(dict.fromkeys(parties, since)))
    assert all(each.status == 200 for each in post.altinn.calls("dialogsearch"))


def test_a_token_that_is_echoed_for_ever_ends(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that promises more and shows the same page again is an incomplete answer."""
    from connectors.sandbox.altinn3.dialog_search import DialogSearch

    post.altinn.publish(PretendLetter(party=PARTY))
    whole = DialogSearch.page

    def page(self: DialogSearch, records: Any) -> Any:
        found, _, token = whole(self, records)
        return found, True, self.continuation or token

    monkeypatch.setattr(DialogSearch, "page", page)
    (answer,) = ring(post, PARTY)
    assert answer.problem
    assert len(answer.rings) == 1
    assert post.altinn.count("dialogsearch") == 2


def bell_finding(folder: Path, post: Post, **options: Any) -> list[Finding]:
    settings: Settings = read_settings(folder, post.altinn, post.client, **options)
    with closing(connect("altinn", settings)) as mailbox:
        return [each for each in mailbox.check() if each.subject == "bell"]


def test_a_check_tells_whether_the_bell_works(tmp_path: Path, post: Post) -> None:
    """It fails only if the bell is configured by name, and says what to order."""
    assert [each.ok for each in bell_finding(tmp_path, post)] == [True]
    assert bell_finding(tmp_path, post, bell="off") == []
    assert bell_finding(tmp_path, post, poll_every="60s") == []
    client = post.altinn.access.client(post.client.client_id)
    assert client
    client.scopes = frozenset({READ_SCOPE})
    (auto,) = bell_finding(tmp_path, post)
    assert (auto.ok, auto.warning) == (True, True)
    assert "digdir:dialogporten" in auto.text
    (named,) = bell_finding(tmp_path, post, bell="dialogporten")
    assert not named.ok
