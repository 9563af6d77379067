"""Lists, facets and counts of letters: what is asked, what is allowed, and that they agree."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.core.model import DeliveryState, MessageValues
from daemon.core.rights import Grant, Right
from daemon.page.search import FACETS, DueWhen, FoundLetter, LetterFinder, LetterQuery, SearchIndex
from daemon.page.search import reading as reading_module
from daemon.store import Store, StoredLetter
from tests.unit.conftest import NOW, PARTY, stored_letter

COUNT = 120
OTHER = "910075918"
LIST = frozenset({Right.LIST})
EVERY = LetterQuery()
STATES = (DeliveryState.PENDING, DeliveryState.DELIVERED, DeliveryState.DEAD)


def _letter(number: int) -> StoredLetter:
    letter = stored_letter(
        f"letter-{number}",
        ("erp", "mail") if number % 4 else ("erp",),
        title=f"Vedtak nr. {number} § {number % 9}",
        body="Merverdiavgift" if number % 3 else "Eiendomsskatt",
        party=PARTY if number % 7 else OTHER,
        service="4255/1" if number % 3 else "4255/8",
        sender_org="974761076" if number % 2 else None,
        sender_name="Skatteetaten" if number % 2 else ("Kommunen", "Fylket")[number % 3 == 0],
    )
    letter.message.due_at = NOW + timedelta(days=number - 20) if number % 5 else None
    letter.message.fetched_at = NOW - timedelta(hours=number // 2 * 3)  # two at a time
    letter.message.published_at = NOW - timedelta(days=number % 70)
    letter.decision.route = "Skatt" if number % 3 else "Alt annet"
    letter.decision.recipients = [["post"], ["regnskap", "post"], ["eiendom"], []][number % 4]
    letter.decision.direct = ["archive"] if number % 6 == 0 else []
    for delivery in letter.deliveries:
        delivery.due_at = delivery.created_at = NOW
        delivery.state = STATES[number % 3]
    return letter


SENT = {letter.message.id: letter.message for letter in map(_letter, range(COUNT))}


@pytest.fixture(scope="module")
def finder(new_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LetterFinder]:
    """A finder of many letters of all kinds."""
    folder = tmp_path_factory.mktemp("query")
    store = Store(f"sqlite:///{shutil.copy(new_database, folder / 'letters.db')}")
    store.letters.add([_letter(number) for number in range(COUNT)])
    index = SearchIndex(folder / "search.db", store)
    index.sync()
    yield LetterFinder(index, lambda: NOW)
    index.close()
    store.close()


CHOICES = {
    "service": ["", "4255/1", "4255/8", "4255/9"],
    "sender": ["", "974761076", "Kommunen", "Ingen"],
    "route": ["", "Skatt", "Borte"],
    "recipient": ["", "post", "regnskap", "eiendom", "archive"],
    "party": ["", PARTY, OTHER],
    "state": ["", "pending", "dead", "held"],
}
QUERIES = st.builds(
    LetterQuery,
    text=st.sampled_from(["", "avgift", "avgift 1", "§ skatt", "nr. 11", "§", '" OR *']),
    due=st.sampled_from([None, None, *DueWhen]),
    since=st.sampled_from([None, None, date(2026, 11, 20)]),
    until=st.sampled_from([None, None, date(2026, 11, 22)]),
    **{name: st.sampled_from(values) for name, values in CHOICES.items()},
)
GRANTS = st.builds(
    Grant,
    rights=st.just(LIST),
    recipients=st.frozensets(st.sampled_from(["post", "regnskap", "eiendom"]), max_size=2),
    parties=st.frozensets(st.sampled_from([PARTY, OTHER]), max_size=1),
)
LIMITS = st.none() | st.lists(GRANTS, max_size=3)


@settings(max_examples=30, deadline=None)
@given(query=QUERIES, limits=LIMITS)
def test_counts_are_what_the_list_has(
    finder: LetterFinder, query: LetterQuery, limits: Sequence[Grant] | None
) -> None:
    """Total and facets equal the length of the list, now and after a value is chosen; a chosen one
    stays with 0; every listed letter is within the limits; look() says the same as each alone."""
    page = finder.look(query, limits, limit=COUNT)
    assert (page.total, page.after) == (len(page.letters), None)
    assert page.letters == finder.find(query, limits, limit=COUNT)
    assert page.facets == finder.facets(query, limits)
    for facet, values in page.facets.items():
        for each in values:
            ticked = query.with_choice(facet, each.value)
            assert each.count == finder.total(ticked, limits)
            assert each.chosen == (getattr(query, facet) == each.value)
        assert getattr(query, facet) in {"", *(each.value for each in values)}
        assert {each.value for each in values if not each.count} <= {getattr(query, facet)}
    for letter in page.letters:
        assert limits is None or any(g.covers(letter.party, letter.recipients) for g in limits)


@settings(max_examples=40, deadline=None)
@given(query=QUERIES)
def test_a_list_is_what_its_letters_say(finder: LetterFinder, query: LetterQuery) -> None:
    """The list has exactly the letters that fit, by the letters themselves."""
    every = {each.id: each for each in finder.find(EVERY, None, limit=COUNT)}
    wanted = {key for key, each in every.items() if _fits(query, each, SENT[key])}
    assert {each.id for each in finder.find(query, None, limit=COUNT)} == wanted


def _fits(query: LetterQuery, found: FoundLetter, message: MessageValues) -> bool:
    title, rest = message.title.lower(), f"{message.body}\n{message.sender_name}".lower()
    words = query.text.lower().split()
    due, day = message.due_at, message.fetched_at.date()
    return (
        all(word in title or (len(word) > 2 and word in rest) for word in words)
        and query.service in {"", message.service}
        and query.sender in {"", message.sender_org or message.sender_name}
        and query.route in {"", found.route}
        and query.recipient in {"", *found.recipients}
        and query.party in {"", message.party}
        and query.state in {"", *found.deliveries.values()}
        and (query.since or day) <= day <= (query.until or day)
        and {
            None: True,
            DueWhen.NONE: due is None,
            DueWhen.ANY: due is not None,
            DueWhen.OVERDUE: due is not None and due < NOW,
            DueWhen.WEEK: due is not None and NOW <= due <= NOW + timedelta(days=7),
            DueWhen.MONTH: due is not None and NOW <= due <= NOW + timedelta(days=30),
        }[query.due]
    )


@pytest.mark.parametrize("few", [0, 10_000])
def test_pages_follow_each_other(
    finder: LetterFinder, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    """Page after page, every letter comes once, the newest first, also those of one moment;
    whichever way SQLite takes."""
    monkeypatch.setattr(reading_module, "FEW", few)
    for query in (EVERY, LetterQuery(text="avgift"), LetterQuery(service="4255/8")):
        seen: list[FoundLetter] = []
        after = None
        while True:
            page = finder.look(query, None, after, limit=7)
            seen += page.letters
            after = page.after
            if after is None:
                break
        assert len({each.id for each in seen}) == len(seen) == page.total
        times = [each.fetched_at for each in seen]
        assert times == sorted(times, reverse=True)


def test_who_may_see_none_sees_none(finder: LetterFinder) -> None:
    """Without a grant there is no letter, no count and no value to choose."""
    page = finder.look(EVERY, [])
    assert (page.total, page.letters, finder.deadlines([], 9)) == (0, [], [])
    assert all(not values for values in page.facets.values())
    assert sum(count for _, count in finder.days([])) == 0


def test_days_count_the_letters_of_each_day(finder: LetterFinder) -> None:
    """There is a number for every day, today the last: of the letters that were published then,
    whenever they came, and that are within the limits."""
    days = finder.days(None)
    assert (len(days), days[-1][0]) == (60, date(2026, 11, 24))
    twice = COUNT - 70  # of the last days' letters there are two a day
    assert [count for _, count in reversed(days)] == [2] * twice + [1] * (60 - twice)
    own = [Grant(rights=LIST, parties=frozenset({OTHER}))]
    shown = [number for number in range(0, COUNT, 7) if number % 70 < 60]
    assert sum(count for _, count in finder.days(own)) == len(shown)


def test_deadlines_are_the_nearest_ones(finder: LetterFinder) -> None:
    """The nearest deadlines are shown in their order, also one that has just passed; after thirty
    days it is shown no more; none is another's."""
    first = [each.due_at for each in finder.deadlines(None, 3)]
    assert first == [NOW + timedelta(days=ago) for ago in (-1, 1, 2)]
    own = [Grant(rights=LIST, recipients=frozenset({"eiendom"}))]
    found = [each.due_at for each in finder.deadlines(own, 50) if each.due_at]
    assert found == sorted(found)
    assert min(found) < NOW
    assert {each.recipients for each in finder.deadlines(own, 50)} == {("eiendom",)}
    later = LetterFinder(finder._index, lambda: NOW + timedelta(days=45))
    shown = {each.due_at for each in later.deadlines(None, COUNT)}
    assert min(each for each in shown if each) == NOW + timedelta(days=16)


@given(query=QUERIES)
def test_an_address_holds_the_query(query: LetterQuery) -> None:
    """What is written into an address is read back, but for a state that does not exist."""
    assert LetterQuery.of(query.parameters()) == query


@settings(max_examples=30, deadline=None)
@given(
    parameters=st.dictionaries(
        st.sampled_from(["q", *FACETS, "due", "since", "until", "x"]), st.text(), max_size=9
    ),
    after=st.none() | st.text(),
)
def test_nothing_in_an_address_is_an_error(
    finder: LetterFinder, parameters: dict[str, str], after: str | None
) -> None:
    """Whatever an address says, there is a list, with no more letters than it counts."""
    found = finder.look(LetterQuery.of(parameters), None, after)
    assert len(found.letters) <= found.total <= COUNT


@pytest.mark.parametrize(
    "text", ["\udc00vedtak", "ved\0tak", "\u00advedtak", "x" * 5000, "' --", "NEAR("]
)
def test_odd_words_are_words(finder: LetterFinder, text: str) -> None:
    """What is no text, or syntax elsewhere, is no error."""
    total = finder.total(LetterQuery.of({"q": text}), None)
    assert total == (COUNT if "tak" in text else 0)


def test_a_sender_has_a_name(finder: LetterFinder) -> None:
    """A number is shown with the name that goes with it."""
    labels = {each.value: each.label for each in finder.facets(EVERY, None)["sender"]}
    assert labels == {"974761076": "Skatteetaten", "Kommunen": "Kommunen", "Fylket": "Fylket"}
