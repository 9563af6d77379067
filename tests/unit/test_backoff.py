"""Waits that grow: never shorter than the one before, never longer than the longest."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.core.backoff import Backoff

MINUTE = timedelta(minutes=1)
waits = st.timedeltas(min_value=timedelta(milliseconds=1), max_value=timedelta(days=30))


@st.composite
def backoffs(draw: st.DrawFn) -> Backoff:
    first, longest = sorted((draw(waits), draw(waits)))
    return Backoff(
        first,
        longest,
        factor=draw(st.floats(min_value=1, max_value=10)),
        jitter=draw(st.floats(min_value=0, max_value=1)),
    )


@pytest.mark.parametrize(
    ("failures", "minutes"), [(0, 0), (1, 1), (2, 2), (3, 4), (5, 16), (6, 30), (10_000, 30)]
)
def test_waits_double_up_to_the_longest(failures: int, minutes: int) -> None:
    """Each failure in a row doubles the wait; none waits for nothing."""
    assert Backoff(MINUTE, 30 * MINUTE).after(failures) == minutes * MINUTE


def test_chance_takes_off_a_share() -> None:
    """The jitter is the largest share of a wait that chance takes off."""
    backoff = Backoff(MINUTE, 30 * MINUTE, jitter=0.5)
    assert [backoff.after(2, chance) for chance in (0, 0.5, 1)] == [
        2 * MINUTE,
        1.5 * MINUTE,
        MINUTE,
    ]


@given(backoffs(), st.integers(1, 200))
def test_a_wait_never_shrinks_with_another_failure(backoff: Backoff, failures: int) -> None:
    """Waits begin with the first, grow, and stop at the longest."""
    assert backoff.after(1) == backoff.first
    assert backoff.first <= backoff.after(failures) <= backoff.after(failures + 1)
    assert backoff.after(failures + 1) <= backoff.longest


@given(backoffs(), st.integers(0, 200), st.floats(min_value=0, max_value=1))
def test_chance_never_makes_a_wait_longer(backoff: Backoff, failures: int, chance: float) -> None:
    """With chance, a wait stays within its jitter."""
    whole = backoff.after(failures)
    shortest = whole * (1 - backoff.jitter)
    assert shortest <= backoff.after(failures, chance) <= whole
