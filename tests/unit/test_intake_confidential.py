"""Intake of confidential letters: listed only, unless a route names a recipient for them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from daemon.core.model import LetterRef, SightingState
from daemon.core.ports import Channel
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from tests.unit.conftest import APPOINTED, NOW, SECRET, TAX, newest_decision
from tests.unit.memory import MemoryMailbox
from tests.unit.polling import Poll, new_mailbox, new_poll  # noqa: F401  # a fixture

CONFIDENTIAL = {"channel": SECRET, "confidential": True}


def waiting(store: Store) -> list[str]:
    """The letters that wait in the mailbox."""
    return [each.external_id for each in store.queries.sightings(SightingState.WAITING)]


def test_a_confidential_channel_is_only_listed(
    poll: Poll, store: Store, mailbox: MemoryMailbox
) -> None:
    """Letters of a channel that is only listed are noticed and left alone; no overview and no
    download is asked for."""
    mailbox.boxes = [replace(SECRET, list_only=True)]
    for name in ("s1", "s2"):
        mailbox.publish(name, b"x", channel=mailbox.boxes[0], confidential=True)
    assert [
        (summary.waiting, summary.stored) for summary in (poll(), poll(), poll(table=APPOINTED))
    ] == [(2, 0)] * 3
    assert {verb for verb, _ in mailbox.calls} == {"list"}
    assert sorted(waiting(store)) == ["s1", "s2"]
    assert store.letters.stored_in("altinn", SECRET) == set()


@pytest.mark.parametrize("channel", [TAX, SECRET])
def test_a_confidential_letter_without_a_recipient_leaves_no_word(
    poll: Poll,
    store: Store,
    content: ContentFolder,
    mailbox: MemoryMailbox,
    database: Path,
    channel: Channel,
) -> None:
    """A letter that turns out to be confidential, when no route appoints a recipient, is left
    alone; nothing of it is kept."""
    mailbox.boxes = [TAX, SECRET]
    mailbox.publish(
        "s",
        b"hemmelig",
        channel=channel,
        confidential=True,
        title="Oppsigelse",
        body="Kjære Kari",
        sender_name="NAV",
    )
    assert (poll().waiting, poll().stored) == (1, 0)
    assert waiting(store) == ["s"]
    assert (mailbox.asked("fetch"), mailbox.asked("open_part")) == (["s"], [])
    kept = database.read_bytes()
    assert not any(word in kept for word in (b"Oppsigelse", "Kjære".encode(), b"NAV", b"hemmelig"))


def test_a_confidential_letter_with_a_recipient(
    poll: Poll, store: Store, mailbox: MemoryMailbox
) -> None:
    """Where a route appoints a recipient for confidential post, a channel that is fetched brings
    it, to that recipient only."""
    mailbox.boxes = [SECRET]
    mailbox.publish("s", b"x", channel=SECRET, confidential=True)
    assert poll(table=APPOINTED).stored == 1
    decision = newest_decision(store, "s")
    assert (decision.route, decision.recipients) == ("Fortrolig", ["post"])
    assert store.queries.message("s").confidential


def test_what_waited_comes_once_it_may(poll: Poll, store: Store, mailbox: MemoryMailbox) -> None:
    """When an operator appoints a recipient and lets confidential post be fetched, the letters that
    waited come too."""
    listed = replace(SECRET, list_only=True)
    mailbox.boxes = [listed]
    mailbox.publish("s", channel=listed, confidential=True)
    poll()
    mailbox.letters = {name: (SECRET, letter) for name, (_, letter) in mailbox.letters.items()}
    mailbox.boxes = [SECRET]
    assert poll(table=APPOINTED).stored == 1
    assert waiting(store) == []


def test_a_failing_letter_of_a_channel_that_is_now_only_listed(
    poll: Poll, store: Store, mailbox: MemoryMailbox
) -> None:
    """Once confidential post is only listed, a letter of it that failed earlier is not opened
    again, wherever the listing begins."""
    mailbox.boxes = [replace(SECRET, list_only=True)]
    mailbox.look_back = timedelta()
    ref = LetterRef(
        mailbox="altinn",
        party=SECRET.party,
        service=SECRET.service,
        resource=SECRET.resource,
        external_id="s",
    )
    store.letters.record_skipped(ref, SightingState.FAILING, NOW, "broken")
    poll(table=APPOINTED)
    assert mailbox.asked("fetch") == []
