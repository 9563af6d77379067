"""Terms in working days end on the right day and hour, whatever lies between."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.core.times import NORWAY, in_norway
from daemon.core.working_days import (
    Term,
    after_working_days,
    is_working_day,
    term,
    working_days_between,
)

moments = st.datetimes(datetime(2026, 1, 1), datetime(2036, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
counts = st.integers(1, 40)


def here(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=NORWAY)


@pytest.mark.parametrize(
    "day",
    [
        "2027-01-01",  # New Year's Day
        "2027-03-25",  # Maundy Thursday
        "2027-03-26",  # Good Friday
        "2027-03-27",  # a Saturday
        "2027-03-28",  # Easter Sunday
        "2027-03-29",  # Easter Monday
        "2026-05-01",  # Labour Day, a Friday
        "2027-05-06",  # Ascension Day
        "2027-05-17",  # Constitution Day, and Whit Monday
        "2026-12-25",
    ],
)
def test_days_off_are_no_working_days(day: str) -> None:
    """Weekends and Norwegian public holidays do not count."""
    assert not is_working_day(date.fromisoformat(day))


@pytest.mark.parametrize(
    ("start", "count", "end"),
    [
        ("2026-11-27 14:30", 1, "2026-11-30 14:30"),  # over a weekend
        ("2027-03-24 10:00", 2, "2027-03-31 10:00"),  # over Easter and to summer time
        ("2027-03-24 23:30", 1, "2027-03-30 23:30"),
        ("2026-04-30 09:00", 1, "2026-05-04 09:00"),  # over 1 May and a weekend
        ("2027-05-14 09:00", 1, "2027-05-18 09:00"),  # over 17 May
        ("2026-10-23 02:30", 1, "2026-10-26 02:30"),  # to winter time
        ("2026-11-28 10:00", 1, "2026-12-01 10:00"),  # from a Saturday: all of Monday is there
        ("2027-03-31 10:00", -2, "2027-03-24 10:00"),
        ("2027-05-17 12:00", -1, "2027-05-13 12:00"),  # back from a holiday
    ],
)
def test_the_hour_stays(start: str, count: int, end: str) -> None:
    """The same hour in Norway, so many working days later or earlier."""
    found = after_working_days(here(start), count)
    assert found == here(end)
    assert found.utcoffset() == timedelta()


@given(moments, counts)
def test_counting_agrees_with_the_days(moment: datetime, count: int) -> None:
    """The end is a working day, with so many of them since the start; time never runs back."""
    end = in_norway(after_working_days(moment, count))
    start = in_norway(moment)
    off = not is_working_day(start.date())
    assert is_working_day(end.date())
    assert working_days_between(start.date(), end.date()) == count + off
    assert end.timetz().replace(tzinfo=None) == start.timetz().replace(tzinfo=None)


@given(moments, moments, counts)
def test_what_begins_later_never_ends_earlier(one: datetime, other: datetime, count: int) -> None:
    """Two letters of different days end in the order in which they came."""
    first, second = sorted((one, other))
    if in_norway(first).date() != in_norway(second).date() and is_working_day(
        in_norway(first).date()
    ):
        assert after_working_days(first, count) <= after_working_days(second, count)


def test_the_ends_of_the_calendar_saturate() -> None:
    """A time that a sender's system left unset does not raise an error."""
    last = datetime.max.replace(tzinfo=UTC)
    assert after_working_days(last, 1000).year == 9999
    assert after_working_days(datetime.min.replace(tzinfo=UTC), -1000).year == 1


@pytest.mark.parametrize("text", ["2wd", "8h", "90m", "14d"])
def test_a_term_is_written_as_it_was_read(text: str) -> None:
    """Saving the table changes nothing."""
    assert str(term(text)) == text


@pytest.mark.parametrize("text", ["", "0wd", "2 wd", "wd", "0h", "9999wd", "1" * 5000 + "wd", 2])
def test_what_is_no_term_is_refused(text: object) -> None:
    """A faulty term is named, whatever it is."""
    with pytest.raises(ValueError, match=r"is not a valid time|must be longer than zero"):
        term(text)


def test_hours_are_counted_by_the_clock() -> None:
    """Eight hours are eight hours, on a holiday too."""
    assert Term(elapsed=timedelta(hours=8)).after(here("2027-05-17 12:00")) == here(
        "2027-05-17 20:00"
    )
