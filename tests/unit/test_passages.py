"""How long letters take from one step to the next, whatever times the letters have."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from daemon.core.model import DeliveryState, MessageKind
from daemon.core.times import LAST
from daemon.intake.new_letter import MarkPolicies
from daemon.monitoring import passages
from daemon.monitoring.passages import SharedPassageTimes, passage_times
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from daemon.store.users import Actor
from tests.unit.conftest import APPOINTED, NOW, TAX, Clock, new_intake, stored_letter
from tests.unit.memory import MemoryMailbox

pytestmark = pytest.mark.both_databases

FIRST = NOW - timedelta(days=29)
Keep = Callable[..., Any]


@pytest.fixture(name="keep")
def keeper(store: Store) -> Keep:
    """Keep a letter whose steps came so many seconds after it was stored."""

    def keep(name: str, at: datetime = NOW, service: str = "4255/8", **steps: Any) -> Any:
        letter = stored_letter(name, service=service)
        message, delivery = letter.message, letter.deliveries[0]
        message.fetched_at = at
        message.published_at = steps.get("published_at", at - timedelta(seconds=60))
        message.listed_at = at - timedelta(seconds=steps.get("listed", 20))
        if (delivered := steps.get("delivered", 10)) is not None:
            delivery.state = DeliveryState.DELIVERED
            delivery.delivered_at = at + timedelta(seconds=delivered)
        if taken := steps.get("taken"):
            delivery.taken_at = at + timedelta(seconds=taken)
        store.letters.add([letter])
        return message.id

    keep("first", FIRST, published_at=FIRST)
    return keep


def test_percentiles_by_service_and_destination(store: Store, keep: Keep) -> None:
    """Half of the letters take at most the middle one's time; each service has its own."""
    for number in range(1, 100):
        keep(f"a{number}", delivered=number)
    key = keep("b", service="5504/1", delivered=3600, taken=7200)
    store.acknowledgements.acknowledge(key, "kari", NOW + timedelta(hours=3), Actor(name="kari"))
    found = passage_times(store, NOW + timedelta(days=1))
    own = found.by_key["stored_to_delivered", "4255/8", "erp"]
    assert [own.percentile(each).total_seconds() for each in (50, 90, 99)] == [49, 89, 98]
    other = {key[0]: each.seconds for key, each in found.by_key.items() if key[1] == "5504/1"}
    assert other == {
        "published_to_listed": [40],
        "listed_to_stored": [20],
        "stored_to_delivered": [3600],
        "delivered_to_taken": [3600],
        "delivered_to_acknowledged": [7200],
        "published_to_delivered": [3660],
    }
    whole = found.of_step("stored_to_delivered")
    assert whole is not None
    assert whole.percentile(100) == timedelta(hours=1)
    assert (found.letters, found.every) == (101, 1)


@pytest.mark.parametrize(
    "published_at",
    [
        datetime(1, 1, 1, tzinfo=UTC),
        LAST,
        NOW + timedelta(days=3),
        FIRST - timedelta(days=900),
    ],
)
def test_publish_times_that_cannot_be(store: Store, keep: Keep, published_at: datetime) -> None:
    """A publish time that is unset, lies ahead, or is from before the first letter is left out, and
    the letter's other steps count."""
    keep("a", published_at=published_at)
    found = passage_times(store, NOW + timedelta(hours=1))
    counts = {key[0]: len(each.seconds) for key, each in found.by_key.items()}
    assert counts["stored_to_delivered"] == counts["listed_to_stored"] == 2
    assert counts["published_to_listed"] == counts["published_to_delivered"] == 1


def test_a_clock_that_was_wrong(store: Store, keep: Keep) -> None:
    """An end before its beginning counts as no time if clocks differ a little, and not at all if
    they differ much; an end that lies ahead does not count."""
    keep("a", delivered=-5)
    keep("b", delivered=-90_000)
    keep("c", delivered=400 * 86_400)
    found = passage_times(store, NOW + timedelta(hours=1))
    assert found.by_key["stored_to_delivered", "4255/8", "erp"].seconds == [0, 10]


def test_only_letters_of_the_window_and_no_notices(store: Store, keep: Keep) -> None:
    """What came longer ago than 30 days is not read, and notices are no letters."""
    notice = stored_letter("n", kind=MessageKind.NOTICE)
    store.letters.add([notice])
    assert passage_times(store, FIRST + timedelta(days=31)).by_key == {}
    keep("new", FIRST + timedelta(days=30))
    found = passage_times(store, FIRST + timedelta(days=31))
    assert {len(each.seconds) for each in found.by_key.values()} == {1}


def test_many_letters_are_sampled(
    store: Store, keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of more than so many only every second one and so on is looked at; the histogram's counts
    are of about all of them."""
    monkeypatch.setattr(passages, "SAMPLED", 50)
    for number in range(199):
        keep(f"a{number}")
    found = passage_times(store, NOW + timedelta(hours=1))
    assert (found.letters, found.every) == (200, 4)
    own = found.by_key["stored_to_delivered", "4255/8", "erp"]
    assert len(own.seconds) == 50
    assert own.distribution((1, 10), found.every).cumulative == (0, 200, 200)


def test_it_is_looked_up_once_in_ten_minutes(store: Store, keep: Keep, clock: Clock) -> None:
    """A page or a monitor that asks often costs nothing more."""
    shared = SharedPassageTimes(store, clock)
    assert shared.recent().letters == 1
    keep("a")
    assert shared.recent().letters == 1
    clock.advance(minutes=10)
    assert shared.recent().letters == 2
    clock.advance(days=-1)
    assert shared.recent().since == clock() - passages.WINDOW


def test_intake_notes_when_a_letter_was_listed(
    store: Store, content: ContentFolder, clock: Clock
) -> None:
    """A letter has the time of the listing in which it was first seen, also if it could not be
    fetched then."""
    from daemon.core.errors import MailboxUnavailable

    store.letters.note_table(APPOINTED.version, APPOINTED.text, NOW)
    mailbox = MemoryMailbox(boxes=[TAX])
    mailbox.publish("a")
    mailbox.publish("late")
    mailbox.fails["fetch", "late"] = iter([MailboxUnavailable("away")])
    intake = new_intake(store, content, clock, lambda: APPOINTED)
    first = clock()
    intake.poll(mailbox, MarkPolicies(), threading.Event())
    clock.advance(hours=2)
    intake.poll(mailbox, MarkPolicies(), threading.Event())
    found = {each: store.queries.message(each) for each in ("a", "late")}
    assert {key: each.listed_at for key, each in found.items()} == {"a": first, "late": first}
    assert found["late"].fetched_at == first + timedelta(hours=2)


def test_the_histogram_is_read_by_monitors(store: Store, keep: Keep) -> None:
    """Prometheus' own parser reads it, with the step, the service and the destination."""
    from daemon.web.exposition import exposition
    from daemon.web.letter_numbers import _passages

    keep("a", delivered=100)
    text = exposition([_passages(passage_times(store, NOW + timedelta(hours=1)))])
    (family,) = text_string_to_metric_families(text)
    (whole,) = [
        each.value
        for each in family.samples
        if each.name.endswith("_count") and each.labels["step"] == "stored_to_delivered"
    ]
    assert (family.type, whole) == ("histogram", 2)
