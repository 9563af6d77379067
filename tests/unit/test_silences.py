"""A sender that was regular has fallen silent: by its own history, once, until a letter comes."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import assume, given
from hypothesis import strategies as st

from daemon.core.silences import LETTERS, YEAR, is_over, silence

TODAY = date(2026, 3, 1)
DAY = timedelta(days=1)
AGES = st.lists(st.integers(-400, 1100), max_size=40)


def _days(ages: list[int]) -> list[date]:
    return [TODAY - age * DAY for age in ages]


@given(ages=AGES)
def test_few_letters_are_no_habit(ages: list[int]) -> None:
    """Fewer than six letters in the year before the last one are never a silence."""
    days = _days(ages)
    found = silence(days, TODAY)
    if found:
        year = [day for day in days if timedelta() <= found.since - day < YEAR]
        assert len(year) >= LETTERS
        assert found.since == max(day for day in days if day <= TODAY)
        assert 3 * found.longest < TODAY - found.since <= YEAR


@given(ages=AGES, ahead=st.lists(st.integers(1, 400), max_size=5))
def test_what_is_dated_ahead_changes_nothing(ages: list[int], ahead: list[int]) -> None:
    """Letters dated in the future, and the order and number of letters on a day, do not matter."""
    past = [each for each in ages if each >= 0]
    later = _days([-each for each in ahead])
    assert silence(_days(past), TODAY) == silence([*later, *reversed(_days(past + past))], TODAY)


@given(ages=AGES, old=st.lists(st.integers(800, 4000), max_size=5))
def test_what_is_dated_back_changes_nothing(ages: list[int], old: list[int]) -> None:
    """A letter that is dated years back neither begins a silence nor ends one."""
    assume(any(0 <= each <= 365 for each in ages))
    assert silence(_days(ages), TODAY) == silence(_days(ages + old), TODAY)


@given(
    pauses=st.lists(st.integers(6, 30), min_size=5, max_size=12),
    quiet=st.integers(1, 270),
    days=st.lists(st.integers(-700, 700), min_size=1, max_size=30),
)
def test_one_silence_is_one_finding(pauses: list[int], quiet: int, days: list[int]) -> None:
    """However the clock goes, forwards or back, a silence that is not over keeps its last day, and
    it is over by a letter or after a year, not by the clock."""
    last = TODAY - (3 * max(pauses) + quiet) * DAY
    sent = [last - sum(pauses[:count]) * DAY for count in range(len(pauses) + 1)]
    found = silence(sent, TODAY)
    assert found
    assert (found.since, found.longest) == (last, max(pauses) * DAY)
    for each in days:
        now = TODAY + each * DAY
        assert is_over(found.since, sent, now) == (now - found.since > YEAR)
        assert is_over(found.since, [], now) == (now - found.since > YEAR)
        later = silence(sent, now)
        assert later is None or later.since <= found.since
    assert is_over(found.since, [*sent, found.since + DAY], TODAY)
    assert silence([*sent, TODAY], TODAY) is None


def test_the_rule_by_example() -> None:
    """A letter each week is missed after three weeks, one a month after three months; a week of
    letters about one case is no habit, and what ended a year ago is not waited for."""
    weekly = [TODAY - week * 7 * DAY for week in range(10)]
    assert silence(weekly, TODAY + 21 * DAY) is None
    found = silence(weekly, TODAY + 22 * DAY)
    assert found
    assert (found.since, found.longest) == (TODAY, 7 * DAY)
    monthly = [TODAY - month * 30 * DAY for month in range(6)]
    assert silence(monthly, TODAY + 90 * DAY) is None
    assert silence(monthly, TODAY + 91 * DAY)
    assert silence(monthly[:5], TODAY + 91 * DAY) is None
    burst = [TODAY - day * DAY for day in range(20)]
    assert silence(burst, TODAY + 90 * DAY) is None
    assert silence(weekly, TODAY + YEAR)
    assert silence(weekly, TODAY + YEAR + DAY) is None
