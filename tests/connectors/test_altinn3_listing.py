"""Complete listings over a list that is cut, has no pages and tells no times."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.altinn3 import listing
from connectors.altinn3.listing import PAGE, STATUSES, Ask, ListedLetters, Window
from connectors.net.cpu_throttle import CpuThrottle

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)
MONTH = NOW - timedelta(days=30)


def find_all(ask: Ask, since: datetime | None, now: datetime) -> ListedLetters:
    """Find every letter, as fast as it goes: the other side computes in this thread, too."""
    return listing.find_all(ask, since, now, CpuThrottle(share=math.inf))


class Altinn:
    """The list as Altinn/altinn-correspondence CorrespondenceRepository.cs makes it: bounds
    exclude, newest first, cut, no ties broken."""

    def __init__(
        self,
        times: Sequence[datetime],
        page: int = PAGE,
        order: Callable[[list[str]], list[str]] = list,
    ) -> None:
        self.letters = {f"letter-{number}": time for number, time in enumerate(times)}
        self.statuses: dict[str, list[str]] = {}
        self.page = page
        self.order = order
        self.calls = 0

    def ask(self, window: Window, status: str | None) -> list[str]:
        self.calls += 1
        among = self.letters if status is None else self.statuses.get(status, [])
        inside = [each for each in among if self._in(window, self.letters[each])]
        newest_first = sorted(inside, key=lambda each: self.letters[each], reverse=True)
        return self.order(newest_first)[: self.page]

    @staticmethod
    def _in(window: Window, time: datetime) -> bool:
        return (window.after is None or time > window.after) and (
            window.before is None or time < window.before
        )


def spread(number: int, over: timedelta = timedelta(days=29)) -> list[datetime]:
    return [NOW - over * (place / number) for place in range(number)]


@pytest.mark.parametrize("number", [0, 1, 999])
def test_one_call_is_enough_where_nothing_is_cut(number: int) -> None:
    """A list that is not full costs one call and is believed."""
    altinn = Altinn(spread(number))
    found = find_all(altinn.ask, MONTH, NOW)
    assert (len(found.ids), found.shortfall, altinn.calls) == (number, "", 1)


def test_many_letters_at_one_time_need_few_calls() -> None:
    """2,500 letters, 800 of them with one and the same time, are all found, with at most a dozen
    calls."""
    altinn = Altinn([*spread(1700), *[NOW - timedelta(days=3)] * 800])
    found = find_all(altinn.ask, MONTH, NOW)
    assert set(found.ids) == set(altinn.letters)
    assert not found.shortfall
    assert altinn.calls <= 12


def test_ten_thousand_letters_cost_about_one_call_for_each_split() -> None:
    """A large mailbox takes no more than two calls for each thousand letters, and a few to
    begin."""
    altinn = Altinn(spread(10_000))
    assert len(find_all(altinn.ask, MONTH, NOW).ids) == 10_000
    assert altinn.calls <= 24


@pytest.mark.parametrize("since", [None, MONTH], ids=["all", "since"])
def test_no_letter_falls_on_a_seam(since: datetime | None) -> None:
    """Letters on neighbouring ticks, exactly where windows are split, are all found once."""
    middle = Window(since, None).middle(NOW)
    assert middle
    altinn = Altinn([middle + place * TICK for place in range(-900, 900)])
    found = find_all(altinn.ask, since, NOW)
    assert sorted(found.ids) == sorted(altinn.letters)


def test_letters_of_any_time_are_found() -> None:
    """Nothing is presumed of the time that a sender asks for: before Altinn was born, or long after
    now."""
    odd = [
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(1814, 5, 17, tzinfo=UTC),
        datetime(9999, 12, 31, tzinfo=UTC),
    ]
    altinn = Altinn([*spread(1500), *odd * 2])
    assert set(find_all(altinn.ask, None, NOW).ids) == set(altinn.letters)


@pytest.mark.parametrize(
    "at",
    [
        NOW,
        NOW + timedelta(days=400),
        datetime(9999, 12, 31, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=UTC),
    ],
)
def test_a_crowd_at_the_edge_of_time_ends_the_search(at: datetime) -> None:
    """More letters at one instant than a list holds are told, and the search ends, wherever that
    instant is."""
    altinn = Altinn([at] * 1001)
    found = find_all(altinn.ask, None, NOW)
    assert "at least 1000 letters" in found.shortfall
    assert altinn.calls < 300


def test_a_crowd_is_searched_by_status_too() -> None:
    """Filters that show other letters of a crowd are used, and that there may be more is told all
    the same."""
    altinn = Altinn([NOW - timedelta(days=3)] * 1300)
    altinn.statuses = {
        "Published": list(altinn.letters),
        "Read": [f"letter-{number}" for number in range(1100, 1300)],
    }
    found = find_all(altinn.ask, MONTH, NOW)
    assert len(found.ids) == 1200
    assert (
        "at least 1200 letters share the publish time 2026-05-29T12:00:00+00:00" in found.shortfall
    )


def test_every_status_that_the_filter_knows_is_tried() -> None:
    """A letter that only one of the filters shows is found, whichever that is."""
    altinn = Altinn([NOW] * 1100)
    altinn.statuses = {status: [f"letter-{1000 + place}"] for place, status in enumerate(STATUSES)}
    assert {f"letter-{1000 + place}" for place in range(len(STATUSES))} <= set(
        find_all(altinn.ask, MONTH, NOW).ids
    )


def test_a_list_without_order_is_read_whole_too() -> None:
    """That the newest come first makes the search cheap; it is not what makes it complete."""
    for order in (lambda ids: ids[::-1], lambda ids: random.Random(1).sample(ids, len(ids))):
        altinn = Altinn(spread(5000), order=order)
        assert set(find_all(altinn.ask, MONTH, NOW).ids) == set(altinn.letters)


def test_a_list_that_ignores_the_window_is_given_up_and_told() -> None:
    """A server that always answers with the same full list costs a bounded number of calls, and
    does not count as a whole listing."""
    altinn = Altinn([])
    page = [f"letter-{number}" for number in range(PAGE)]

    def ask(window: Window, status: str | None) -> list[str]:
        altinn.calls += 1
        return page

    found = find_all(ask, MONTH, NOW)
    assert altinn.calls < 2500
    assert "given up" in found.shortfall


TIMES = st.lists(st.one_of(st.integers(-6, 6), st.integers(-(10**12), 10**12)), max_size=60)


@given(
    ticks=TIMES,
    since=st.one_of(st.none(), st.integers(-(10**12), 10)),
    order=st.sampled_from([list, lambda ids: ids[::-1]]),
)
@settings(max_examples=300, deadline=None)
def test_nothing_is_ever_missing_without_a_word(
    ticks: list[int], since: int | None, order: Callable[[list[str]], list[str]]
) -> None:
    """Whatever the times and the order: each letter in the window is found, or a shortfall is told;
    and never one without a crowd."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listing, "PAGE", 5)
        altinn = Altinn([NOW + tick * TICK for tick in ticks], page=5, order=order)
        begin = None if since is None else NOW + since * TICK
        found = find_all(altinn.ask, begin, NOW)
        expected = {each for each, time in altinn.letters.items() if begin is None or time > begin}
        crowded = any(ticks.count(tick) >= 5 for tick in ticks if since is None or tick > since)
        assert len(found.ids) == len(set(found.ids))
        assert set(found.ids) <= expected
        assert bool(found.shortfall) == crowded
        if not crowded:
            assert set(found.ids) == expected
