"""When a delivery is tried again, and when it is given up."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.delivery.retry import CEILING, FLOOR, LONGEST_ASKED, is_too_old, next_attempt
from tests.unit.conftest import NOW

AGES = st.timedeltas(min_value=timedelta(), max_value=timedelta(days=400))
CHANCES = st.floats(0, 1)


@pytest.mark.parametrize(
    ("age", "wait"),
    [
        (timedelta(), FLOOR),
        (timedelta(seconds=-30), FLOOR),
        (timedelta(seconds=59), FLOOR),
        (timedelta(minutes=10), timedelta(minutes=10)),
        (timedelta(hours=1), CEILING),
        (timedelta(days=4), CEILING),
    ],
)
def test_the_wait_grows_with_age(age: timedelta, wait: timedelta) -> None:
    """A delivery waits as long again as it has been waiting, between a minute and an hour."""
    assert next_attempt(created_at=NOW - age, now=NOW, retry_after=None, chance=0) == NOW + wait


@given(AGES, CHANCES)
def test_the_wait_is_bounded_and_spread(age: timedelta, chance: float) -> None:
    """Chance makes a wait longer by at most a fifth, and never shorter."""
    exact = next_attempt(created_at=NOW - age, now=NOW, retry_after=None, chance=0) - NOW
    spread = next_attempt(created_at=NOW - age, now=NOW, retry_after=None, chance=chance) - NOW
    assert FLOOR <= exact <= spread <= exact * 1.2 <= CEILING * 1.2


def test_two_that_failed_together_do_not_come_back_together() -> None:
    """Different chances give different times."""
    times = {
        next_attempt(created_at=NOW, now=NOW, retry_after=None, chance=chance / 10)
        for chance in range(11)
    }
    assert len(times) == 11


@given(AGES, CHANCES, st.timedeltas(min_value=timedelta()))
def test_what_the_other_side_asked_for_is_kept(
    age: timedelta, chance: float, asked: timedelta
) -> None:
    """No attempt comes sooner than the destination asked for, nor sooner than it would have; but
    for ever is a day at the longest."""
    when = next_attempt(created_at=NOW - age, now=NOW, retry_after=asked, chance=chance)
    unasked = next_attempt(created_at=NOW - age, now=NOW, retry_after=None, chance=chance)
    assert when == max(NOW + min(asked, LONGEST_ASKED), unasked)


@pytest.mark.parametrize(
    ("age", "too_old"),
    [
        (timedelta(), False),
        (timedelta(days=5) - timedelta(microseconds=1), False),
        (timedelta(days=5), True),
        (timedelta(days=9), True),
    ],
)
def test_giving_up_is_a_matter_of_age(age: timedelta, *, too_old: bool) -> None:
    """A delivery is given up once it is as old as the configuration says, and not before."""
    assert is_too_old(created_at=NOW - age, now=NOW, give_up_after=timedelta(days=5)) is too_old
