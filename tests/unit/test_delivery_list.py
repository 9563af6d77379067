"""Deliveries page by page: each once and in order, counted alike, and within a user's limits."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from uuid import UUID

import pytest

from daemon.core.errors import OperatorError
from daemon.core.model import Delivery, DeliveryState
from daemon.core.rights import Grant, Right
from daemon.store import DeliveryFilter, ListPlace, Store, bulk, delivery_list
from daemon.store.bulk import in_bulk
from tests.unit.conftest import NOW, PARTY, DatabaseIn, stored_letter

pytestmark = pytest.mark.both_databases

COUNT = 120
OTHER = "910075918"
STATES = tuple(delivery_list.ORDER)
OPERATE = frozenset({Right.OPERATE})
OF_OTHER = Grant(rights=OPERATE, parties=frozenset({OTHER}))
OF_POST = Grant(rights=OPERATE, recipients=frozenset({'p"o\\st'}))


@pytest.fixture(scope="module")
def stored(database_in: DatabaseIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store with deliveries in every state; several are due at the same moment."""
    letters = [
        stored_letter(
            f"letter-{number}",
            ("erp" if number % 4 else "mail",),
            due_at=NOW + timedelta(seconds=number // 5),
            party=OTHER if number % 7 == 0 else PARTY,
        )
        for number in range(COUNT)
    ]
    for number, letter in enumerate(letters):
        letter.deliveries[0].state = STATES[number % len(STATES)]
        if number % 11 == 0:
            letter.deliveries[0].recipients = ["økonomi", 'p"o\\st']
    with (
        database_in(tmp_path_factory.mktemp("list")) as url,
        closing(Store(url)) as store,
    ):
        store.letters.add(letters)
        yield store


def _walked(store: Store, wanted: DeliveryFilter, size: int = 7) -> Sequence[Delivery]:
    found: list[Delivery] = []
    after: ListPlace | None = None
    while True:
        page = store.delivery_list.page(wanted, after, size)
        assert len(page.rows) <= size
        found += [each.delivery for each in page.rows]
        if page.next is None:
            return found
        after = ListPlace.parse(str(page.next))
        assert after == page.next


def _all(store: Store) -> Sequence[Delivery]:
    return store.queries.deliveries()


@pytest.mark.parametrize("state", [None, *STATES])
@pytest.mark.parametrize("destination", ["", "erp"])
@pytest.mark.parametrize("limits", [(), (OF_OTHER,), (OF_POST,), (OF_OTHER, OF_POST)])
def test_pages_have_each_delivery_once(
    stored: Store, state: DeliveryState | None, destination: str, limits: Sequence[Grant]
) -> None:
    """Pages, ids for a change in bulk, and rows by id agree on what is within filter and limits."""
    wanted = DeliveryFilter(state=state, destination=destination, limits=limits)
    parties = _parties(stored)
    expected = {
        each.id
        for each in _all(stored)
        if (state is None or each.state == state)
        and (not destination or each.destination == destination)
        and wanted.covers(parties[each.id], each.recipients)
    }
    walked = [each.id for each in _walked(stored, wanted)]
    assert len(walked) == len(set(walked))
    assert set(walked) == expected
    assert [key for some in stored.delivery_list.ids(wanted) for key in some] == walked
    every = [each.id for each in _all(stored)]
    limited = DeliveryFilter(limits=limits)
    assert expected <= {each.delivery.id for each in stored.delivery_list.rows(every, limited)}


def _parties(store: Store) -> dict[UUID, str]:
    ids = [each.id for each in _all(store)]
    return {
        each.delivery.id: each.party for each in store.delivery_list.rows(ids, DeliveryFilter())
    }


def test_what_waits_comes_by_due_time_and_what_has_ended_newest_first(stored: Store) -> None:
    """What needs attention comes first, in the order in which it will be tried."""
    rows = _walked(stored, DeliveryFilter())
    assert list(dict.fromkeys(each.state for each in rows)) == list(STATES)
    for state in STATES:
        times = [each.due_at for each in rows if each.state == state]
        ended = state in {DeliveryState.DELIVERED, DeliveryState.WITHDRAWN}
        assert times == sorted(times, reverse=ended)


def test_counts_are_those_of_the_lists(stored: Store) -> None:
    """A count beside a filter is the length of the list behind it, also within limits."""
    counts = stored.delivery_list.counts(())
    assert counts == Counter((each.destination, each.state) for each in _all(stored))
    for state in STATES[:4]:
        limited = stored.delivery_list.counts((OF_OTHER, OF_POST))
        wanted = DeliveryFilter(state=state, limits=(OF_OTHER, OF_POST))
        assert sum(n for (_, of), n in limited.items() if of == state) == len(
            _walked(stored, wanted)
        )


def test_a_page_within_limits_looks_at_so_many_only(
    stored: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where few are within the limits, a page may be short, and the next one goes on."""
    monkeypatch.setattr(delivery_list, "ROWS", 5)
    monkeypatch.setattr(delivery_list, "_LOOKED_AT", 10)
    wanted = DeliveryFilter(limits=(OF_OTHER,))
    first = stored.delivery_list.page(wanted, None, 7)
    assert len(first.rows) < 7
    assert first.next
    monkeypatch.undo()
    parties = {each.party for each in stored.delivery_list.page(wanted, first.next, 7).rows}
    assert parties == {OTHER}
    monkeypatch.setattr(delivery_list, "ROWS", 5)
    monkeypatch.setattr(delivery_list, "_LOOKED_AT", 10)
    expected = [party for party in _parties(stored).values() if party == OTHER]
    assert len(_walked(stored, wanted)) == len(expected)


@pytest.mark.parametrize("text", ["", "dead", "dead.1", "x.1.1", "dead.x.1", "dead.1.x"])
def test_what_is_no_place_is_none(text: str) -> None:
    """An address that was changed by hand begins at the start, and is no error."""
    assert ListPlace.parse(text) is None
    assert ListPlace.parse(f"dead.{10**30}.1") is None


def test_in_bulk_does_all_but_those_that_changed() -> None:
    """One that cannot be changed costs its batch a second try one by one, and nothing else."""
    ids = [UUID(int=number) for number in range(250)]
    calls: list[int] = []

    def act(some: Sequence[UUID]) -> None:
        calls.append(len(some))
        if ids[120] in some:
            raise OperatorError("it has changed")

    results = list(in_bulk(ids, act))
    assert [key for key, done in results if not done] == [ids[120]]
    assert [key for key, _ in results] == ids
    assert calls[:4] == [100, 100, 50, 25]  # halved until it is alone
    assert calls[-1] == 50
    assert len(calls) < 20


def test_others_can_commit_while_many_are_changed(store: Store, database_url: str) -> None:
    """A second program waits for its commit as long as one batch takes, not until all is done."""
    letters = [stored_letter(f"l{number}") for number in range(10 * bulk.TOGETHER)]
    store.letters.add(letters)
    ids = [each.deliveries[0].id for each in letters]
    other = Store(database_url)
    stopping, committed = threading.Event(), list[int]()

    def commit() -> None:
        while not stopping.is_set():
            other.events.add(NOW, kind="x", user="kari")
            committed.append(len(done))

    done: list[bool] = []
    thread = threading.Thread(target=commit)
    thread.start()
    try:
        for _, is_done in in_bulk(ids, store.outbox.hold):
            done.append(is_done)
    finally:
        stopping.set()
        thread.join()
        other.close()
    assert done == [True] * len(ids)
    assert len({count // bulk.TOGETHER for count in committed}) >= 5
