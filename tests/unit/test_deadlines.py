"""Deadlines: which one holds and why, working days, and what persons say of them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.core.bookkeeping import LetterPart
from daemon.core.deadlines import (
    DeadlineFacts,
    DeadlineSource,
    DeadlineState,
    DeadlineWord,
    DeskGroup,
    LetterDeadline,
    end_of_day,
    group_of,
    respond_by,
    workdays_left,
)
from daemon.core.errors import NotFound, OperatorError
from daemon.core.parcels import Receipt
from daemon.core.times import FIRST, LAST
from daemon.core.working_days import term
from daemon.store import Store, results
from daemon.store.users import Actor
from tests.unit.conftest import NOW, stored_letter

pytestmark = pytest.mark.both_databases

PUBLISHED = datetime(2026, 11, 3, 8, 0, tzinfo=UTC)
WEEK = timedelta(days=7)
KARI, OLA = Actor(name="kari", address="10.0.0.1"), Actor(name="ola")
SENDER, DEFAULT, COMPUTED, CONFIRMED = DeadlineSource
LATER = NOW + timedelta(hours=1)
CHRISTMAS = end_of_day(date(2026, 12, 24))


NEAR = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # as hypothesis wants it


def facts(**known: Any) -> DeadlineFacts:
    return DeadlineFacts(published_at=PUBLISHED, **known)


def word(state: DeadlineState, due_at: datetime | None = None) -> DeadlineWord:
    return DeadlineWord(state=state, by="kari", at=NOW, due_at=due_at)


def source(found: DeadlineFacts) -> DeadlineSource | None:
    return found.holds.source if found.holds else None


@pytest.mark.parametrize(
    ("late", "expected"),
    [
        (timedelta(), DEFAULT),
        (timedelta(seconds=1), SENDER),
        (timedelta(seconds=-1), SENDER),
        (timedelta(days=1), SENDER),
    ],
)
def test_exactly_seven_days_is_the_default(late: timedelta, expected: DeadlineSource) -> None:
    """Seven days to the second after the publish time, asked for or real, are no one's decision."""
    assert source(facts(due_at=PUBLISHED + WEEK + late)) is expected
    asked = PUBLISHED - timedelta(minutes=3)
    assert source(facts(requested_at=asked, due_at=asked + WEEK + late)) is expected


def test_without_a_date_nothing_is_due() -> None:
    """A letter of which nobody named a deadline has none, and senders' odd years are no error."""
    assert facts().holds is None
    for odd in (FIRST, LAST):
        assert source(facts(due_at=odd)) is SENDER
        assert abs(workdays_left(odd, NOW)) < 400


def test_which_one_holds() -> None:
    """A person's word wins; then the earlier of sender and table; the default comes last."""
    early, late, by_itself = PUBLISHED + 3 * WEEK, PUBLISHED + 5 * WEEK, PUBLISHED + WEEK
    assert source(facts(due_at=early, respond_by=late)) is SENDER
    assert source(facts(due_at=late, respond_by=early)) is COMPUTED
    assert source(facts(due_at=by_itself, respond_by=late)) is COMPUTED
    said = [word(DeadlineState.CONFIRMED, late + WEEK)]
    found = facts(due_at=early, respond_by=late, words=said)
    assert found.holds == LetterDeadline(
        due_at=late + WEEK, source=CONFIRMED, by="kari", set_at=NOW
    )
    assert [each.source for each in found.known] == [CONFIRMED, SENDER, COMPUTED]


def test_what_persons_say() -> None:
    """Dropped, nothing is due; handled, it is until somebody names another day."""
    early, late = PUBLISHED + 3 * WEEK, PUBLISHED + 5 * WEEK
    dropped, handled = word(DeadlineState.DROPPED), word(DeadlineState.HANDLED)
    found = facts(due_at=early, words=[dropped])
    assert (found.holds, found.is_dropped, source_of(found.last)) == (None, True, SENDER)
    found = facts(due_at=early, words=[dropped, word(DeadlineState.CONFIRMED, late)])
    assert source(found) is CONFIRMED
    found = facts(due_at=early, words=[handled])
    assert (source(found), found.handled) == (SENDER, handled)
    again = facts(due_at=early, words=[handled, word(DeadlineState.CONFIRMED, late)])
    assert again.handled is None


def source_of(deadline: LetterDeadline | None) -> DeadlineSource | None:
    return deadline.source if deadline else None


@pytest.mark.parametrize(
    ("today", "due", "expected"),
    [
        ("2027-03-24", "2027-03-24", 0),  # Wednesday before Easter
        ("2027-03-24", "2027-03-25", 0),  # Maundy Thursday
        ("2027-03-24", "2027-03-27", 0),  # Saturday
        ("2027-03-24", "2027-03-29", 0),  # Easter Monday
        ("2027-03-24", "2027-03-30", 1),
        ("2027-03-22", "2027-04-02", 6),
        ("2027-05-14", "2027-05-17", 0),  # Whit Monday and Constitution Day at once
        ("2027-05-14", "2027-05-18", 1),
        ("2027-04-30", "2027-05-03", 1),  # 1 May is a Saturday
        ("2026-11-24", "2026-11-23", -1),
        ("2026-11-23", "2026-11-21", -1),
    ],
)
def test_working_days_left(today: str, due: str, expected: int) -> None:
    """Today and days off do not count, the day it is due does, in Norwegian days."""
    late = datetime.fromisoformat(f"{today}T21:30:00+00:00")
    assert workdays_left(end_of_day(date.fromisoformat(due)), late) == expected


@pytest.mark.parametrize(
    ("due", "expected"),
    [
        ("2026-11-24T08:59:59", DeskGroup.OVERDUE),
        ("2026-11-24T09:00:00", DeskGroup.THIS_WEEK),
        ("2026-11-29T22:59:59", DeskGroup.THIS_WEEK),  # Sunday, in Norway
        ("2026-11-29T23:00:00", DeskGroup.NEXT_WEEK),
        ("2026-12-06T22:59:59", DeskGroup.NEXT_WEEK),
        ("2026-12-06T23:00:00", DeskGroup.LATER),
    ],
)
def test_groups_are_weeks_in_norway(due: str, expected: DeskGroup) -> None:
    """A week is from Monday to Sunday midnight in Norway; what is past is overdue to the second."""
    assert group_of(datetime.fromisoformat(f"{due}+00:00"), NOW) is expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("21d", end_of_day(date(2026, 11, 24))),
        ("2wd", end_of_day(date(2026, 11, 5))),
        ("8h", PUBLISHED + timedelta(hours=8)),
    ],
)
def test_a_term_of_the_table(written: str, expected: datetime) -> None:
    """A term in days ends with its last day in Norway, a shorter one to the second."""
    assert respond_by(PUBLISHED, term(written)) == expected


@given(moment=st.datetimes(timezones=st.just(UTC)), now=NEAR)
def test_every_moment_has_a_group(moment: datetime, now: datetime) -> None:
    """No date that a sender writes is an error, and what is past is overdue whatever the week."""
    assert (group_of(moment, now) is DeskGroup.OVERDUE) == (moment < now)


@pytest.fixture(name="letter")
def a_stored_letter(store: Store) -> UUID:
    """A letter that the sending system gave seven days."""
    letter = stored_letter("a", published_at=PUBLISHED)
    letter.message.due_at = PUBLISHED + WEEK
    store.letters.add([letter])
    return letter.message.id


def events(store: Store, letter: UUID) -> list[tuple[str, str, str]]:
    return [(each.kind, each.user, each.about) for each in store.events.page(message_id=letter)]


def test_a_person_confirms_once(store: Store, letter: UUID) -> None:
    """Who and when are kept; the same day said again changes nothing; another day, or another note,
    is another row and another event."""
    desk = store.deadlines
    assert source(desk.facts(letter)) is DEFAULT
    found = desk.confirm(letter, " kari ", NOW, KARI, due_at=CHRISTMAS, note=" klagefrist ")
    assert found.holds == LetterDeadline(
        due_at=CHRISTMAS, source=CONFIRMED, by="kari", set_at=NOW, reason="klagefrist"
    )
    assert desk.confirm(letter, "ola", LATER, OLA, due_at=CHRISTMAS).holds == found.holds
    assert desk.confirm(letter, "ola", LATER, OLA, due_at=CHRISTMAS, note="klagefrist") == found
    noted = desk.confirm(letter, "ola", LATER, OLA, due_at=CHRISTMAS, note="6 uker").holds
    assert noted
    assert (noted.by, noted.set_at, noted.reason) == ("ola", LATER, "6 uker")
    desk.confirm(letter, "eva", LATER, OLA, due_at=CHRISTMAS + WEEK)
    assert [(each.by, each.due_at) for each in desk.answers(letter)] == [
        ("kari", CHRISTMAS),
        ("ola", CHRISTMAS),
        ("eva", CHRISTMAS + WEEK),
    ]
    assert events(store, letter) == [
        ("deadline-confirmed", "ola", "eva"),
        ("deadline-confirmed", "ola", ""),
        ("deadline-confirmed", "kari", ""),
    ]
    assert store.events.verify() is None


def test_without_a_day_the_known_one_is_confirmed(store: Store, letter: UUID) -> None:
    """Whoever confirms what is there names no day; without any, one must be named."""
    found = store.deadlines.confirm(letter, "kari", NOW, KARI)
    assert found.holds
    assert (found.holds.due_at, found.holds.source) == (PUBLISHED + WEEK, CONFIRMED)
    bare = stored_letter("bare")
    store.letters.add([bare])
    with pytest.raises(OperatorError, match="no deadline to confirm"):
        store.deadlines.confirm(bare.message.id, "kari", NOW, KARI)


def test_only_what_somebody_has_is_handled(store: Store, letter: UUID) -> None:
    """A letter is handled after it was acknowledged; then it is done."""
    with pytest.raises(OperatorError, match="acknowledge it first"):
        store.deadlines.handle(letter, "kari", NOW, KARI)
    store.acknowledgements.acknowledge(letter, "kari", NOW, KARI)
    assert store.deadlines.handle(letter, "kari", NOW, KARI).handled
    (found,) = store.due_letters.of([letter])
    assert (found.is_done, found.acknowledged_by) == (True, "kari")


@pytest.mark.parametrize(
    ("by", "note", "fault"),
    [(" ", "", "name .* is empty"), ("x" * 101, "", "may have 100"), ("x", "y" * 501, "have 500")],
)
def test_what_is_not_an_answer(store: Store, letter: UUID, by: str, note: str, fault: str) -> None:
    """Without a name, or with a text that is too long, nothing is recorded."""
    with pytest.raises(OperatorError, match=fault):
        store.deadlines.confirm(letter, by, NOW, KARI, due_at=CHRISTMAS, note=note)
    with pytest.raises(NotFound, match="does not exist"):
        store.deadlines.drop(UUID(int=7), "kari", NOW, KARI)
    assert (list(store.deadlines.answers(letter)), list(store.events.page())) == ([], [])


def test_letters_by_their_deadlines(store: Store) -> None:
    """Whoever named a deadline, its letter is found in its time, and once; one that was moved or
    dropped is not found where it was."""
    named = {}
    for name in ("sender", "computed", "confirmed", "dropped", "moved", "none"):
        letter = stored_letter(name, published_at=PUBLISHED, confidential=name == "computed")
        letter.message.due_at = CHRISTMAS if name in {"sender", "dropped", "moved"} else None
        letter.decision.respond_by = CHRISTMAS if name == "computed" else None
        store.letters.add([letter])
        named[letter.message.id] = name
    ids = {name: key for key, name in named.items()}
    store.deadlines.confirm(ids["confirmed"], "kari", NOW, KARI, due_at=CHRISTMAS)
    store.deadlines.drop(ids["dropped"], "kari", NOW, KARI)
    store.deadlines.confirm(ids["moved"], "kari", NOW, KARI, due_at=CHRISTMAS + WEEK)
    day = timedelta(days=1)
    found = list(store.due_letters.between(CHRISTMAS - day, CHRISTMAS + day))
    assert sorted(named[each.id] for each in found) == ["computed", "confirmed", "sender"]
    assert {named[each.id] for each in found if not each.title} == {"computed"}
    assert len(list(store.due_letters.between(None, None))) == 4


def delete_all(store: Store, letter: UUID) -> dict[str, Any]:
    """Let retention delete a letter; return how much that was."""
    claims = store.outbox.claim("x", NOW, timedelta(hours=1), 9)
    receipt = Receipt(reference="x", details={})
    store.outbox.end([results.delivered(each, receipt, NOW, NOW) for each in claims])
    done = store.retention.delete({letter: dict.fromkeys(LetterPart, "rule")}, "service", NOW)
    (metadata,) = [each for each in done if each.part is LetterPart.METADATA]
    return metadata.what


def test_it_goes_with_the_letter(store: Store, letter: UUID) -> None:
    """Retention deletes what persons said with the letter, and says how many answers there were."""
    store.deadlines.confirm(letter, "kari", NOW, KARI, due_at=CHRISTMAS, note="en merknad")
    assert delete_all(store, letter)["deadlines"] == 1
    assert list(store.deadlines.answers(letter)) == []
