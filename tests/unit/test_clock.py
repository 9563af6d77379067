"""The clock: what time it is although the machine's clock is wrong, and what that lets nobody
do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.runtime.clock import DOUBTED, FAR, STABLE, WRONG
from tests.machine import Machine
from tests.unit.conftest import NOW

YEAR = timedelta(days=365)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


def test_a_clock_that_is_right() -> None:
    """While the machine's clock goes as the seconds do, that is the time, also where it is
    corrected a little; nobody is told of that."""
    machine = Machine(NOW)
    clock = machine.clock(NOW - HOUR)
    for little in (0, 50, 20, -30):
        machine.ahead = timedelta(minutes=little)
        machine.passes(60)
        assert clock.now() == machine.wall()
    assert (clock.trusted, clock.problems(), clock.corrections()) == (True, {}, ())


@pytest.mark.parametrize("asked", [False, True], ids=["alone", "source"])
@pytest.mark.parametrize("jump", [YEAR, -YEAR, 2 * HOUR, -2 * HOUR, timedelta(days=20)], ids=str)
def test_a_jump(jump: timedelta, logged: list[Any], *, asked: bool) -> None:
    """The time goes on as if the clock had not jumped; while it lasts that is said, and nothing may
    be deleted or given up."""
    machine = Machine(NOW)
    clock = machine.clock(NOW - HOUR, source=asked)
    if asked:
        machine.ask()
    machine.passes(STABLE)
    assert (clock.trusted, clock.settled) == (True, True)
    machine.ahead = jump
    machine.passes(60)
    assert abs(clock.now() - machine.truth) <= 2 * SECOND
    assert (clock.trusted, clock.settled, clock.stretch()) == (False, False, None)
    assert list(clock.problems()) == [WRONG]
    machine.ahead = timedelta()
    assert (clock.trusted, clock.settled, clock.problems(), clock.corrections()) == (
        True,
        True,
        {},
        (),
    )
    assert [line["log_level"] for line in logged] == ["error", "warning"]


def test_a_source_that_says_otherwise_decides() -> None:
    """A machine that is hours ahead from the start goes by Altinn's clock as soon as that is heard;
    what was written is to be put right."""
    machine = Machine(NOW, ahead=5 * HOUR)
    clock = machine.clock(NOW - HOUR, source=True)
    machine.passes(30)
    assert clock.now() == machine.wall()
    machine.ask()
    assert abs(clock.now() - machine.truth) <= SECOND
    assert (clock.trusted, list(clock.problems())) == (False, [WRONG])
    (correction,) = clock.corrections()
    assert correction.first >= NOW - HOUR
    assert correction.last >= NOW + 5 * HOUR
    machine.ahead = timedelta()
    assert clock.trusted is False, "what was written under the wrong time is not put right"
    clock.applied(clock.corrections())
    assert (clock.trusted, clock.settled, clock.problems()) == (True, True, {})


def test_a_machine_that_slept_unseen() -> None:
    """Seconds that a paused machine did not count look like a jump, until the source is asked again
    and agrees with the clock."""
    machine = Machine(NOW)
    clock = machine.clock(NOW - HOUR, source=True)
    machine.ask()
    machine.passes(60)
    machine.booted += 3 * HOUR
    machine.truth += 3 * HOUR
    assert list(clock.problems()) == [WRONG]
    machine.ask()
    assert (clock.now(), clock.problems()) == (machine.truth, {})


@pytest.mark.parametrize(
    "away",
    [timedelta(minutes=5), timedelta(hours=20), timedelta(days=5), timedelta(days=29)],
    ids=str,
)
def test_a_start_without_a_source(away: timedelta) -> None:
    """After a while away the clock is believed, and after ten minutes in which it goes right
    letters may be deleted by it."""
    machine = Machine(NOW)
    clock = machine.clock(NOW - away)
    assert (clock.now(), clock.problems(), clock.settled) == (NOW, {}, False)
    assert clock.trusted is (away < timedelta(days=1))
    machine.passes(STABLE)
    assert (clock.trusted, clock.settled) == (True, True)


def test_a_start_far_ahead() -> None:
    """400 days after the last record nothing is deleted or given up, however long it lasts, until a
    source confirms the clock."""
    machine = Machine(NOW, ahead=timedelta(days=400))
    clock = machine.clock(NOW, source=True)
    machine.passes(5 * STABLE)
    assert (clock.trusted, clock.settled, list(clock.problems())) == (False, False, [DOUBTED])
    machine.truth, machine.ahead = machine.wall(), timedelta()
    machine.booted += timedelta(days=400)
    machine.ask()
    assert (clock.trusted, clock.settled, clock.problems()) == (True, True, {})


def test_a_start_far_ahead_that_is_set_right() -> None:
    """When the clock is set to a time that the records let expect, the time is that at once,
    without a source."""
    machine = Machine(NOW, ahead=timedelta(days=400))
    clock = machine.clock(NOW - HOUR)
    machine.passes(10)
    machine.ahead = timedelta()
    assert (clock.now(), clock.problems()) == (machine.truth, {})
    (correction,) = clock.corrections()
    assert (correction.first, correction.last) == (
        NOW + timedelta(days=400),
        machine.truth + timedelta(days=400),
    )
    clock.applied([correction])
    machine.passes(STABLE)
    assert (clock.trusted, clock.settled) == (True, True)


def test_a_doubt_outlives_a_restart() -> None:
    """Who starts again with a clock that an earlier start doubted still doubts it, although the
    last record is new."""
    machine = Machine(NOW, ahead=timedelta(days=400))
    clock = machine.clock(machine.wall() - HOUR, doubted=True, source=True)
    machine.passes(2 * STABLE)
    assert (clock.trusted, clock.settled, list(clock.problems())) == (False, False, [DOUBTED])
    machine.ask()
    assert abs(clock.now() - machine.truth) <= SECOND


@pytest.mark.parametrize("newest", [None, NOW - 5 * HOUR], ids=["new", "old"])
def test_a_board_without_a_clock(newest: datetime | None) -> None:
    """A start in the year 2000 is told of, and the time is never earlier than the last record; once
    the clock is set, it is right."""
    machine = Machine(NOW, ahead=datetime(2000, 1, 1, tzinfo=UTC) - NOW)
    clock = machine.clock(newest)
    first = clock.now()
    assert first > (newest or datetime(2026, 1, 1, tzinfo=UTC))
    assert (clock.trusted, clock.settled, list(clock.problems())) == (False, False, [WRONG])
    machine.passes(2 * STABLE)
    assert clock.now() - first == timedelta(seconds=2 * STABLE)
    machine.ahead = timedelta()
    if newest is None:
        machine.passes(STABLE + 20)
    assert (clock.now(), [correction.first for correction in clock.corrections()]) == (
        machine.truth,
        [first],
    )


def test_a_clock_that_stays_as_it_was_set() -> None:
    """Without a source, a clock that was set by hand and stays so is believed after ten minutes,
    and is certain after ten more."""
    machine = Machine(NOW)
    clock = machine.clock(NOW - HOUR)
    machine.passes(60)
    machine.ahead = timedelta(days=3)
    machine.passes(STABLE - 10)
    assert list(clock.problems()) == [WRONG]
    machine.passes(30)
    assert (clock.now(), clock.problems()) == (machine.wall(), {})
    clock.applied(clock.corrections())
    assert (clock.trusted, clock.settled) == (False, False)
    machine.passes(STABLE)
    assert (clock.trusted, clock.settled) == (True, True)


@pytest.mark.parametrize("jump", [YEAR, -timedelta(days=100)], ids=str)
def test_a_far_jump_that_stays(jump: timedelta) -> None:
    """Without a source, a clock that is a year off for hours is gone by, and nothing is deleted or
    given up by it."""
    machine = Machine(NOW)
    clock = machine.clock(NOW - HOUR)
    machine.passes(STABLE)
    machine.ahead = jump
    machine.passes(10 * STABLE)
    clock.applied(clock.corrections())
    assert (clock.now(), clock.trusted, clock.settled) == (machine.wall(), False, False)
    assert list(clock.problems()) == [DOUBTED]


Step = tuple[timedelta, float, bool]
STEPS = st.lists(
    st.tuples(
        st.sampled_from([timedelta(), YEAR, -YEAR, 26 * YEAR, -26 * YEAR, 2 * HOUR]),
        st.floats(1, 2000),
        st.booleans(),
    ),
    max_size=8,
)


@given(STEPS)
def test_with_a_source_the_time_is_right(steps: Sequence[Step]) -> None:
    """Once a source was heard the time is right, whatever the machine's clock says, and nothing is
    certain while that is wrong."""
    machine = Machine(NOW)
    clock = machine.clock(NOW - HOUR, source=True)
    machine.ask()
    for ahead, seconds, asked in steps:
        machine.ahead = ahead
        machine.passes(seconds, every=seconds / 3)
        if asked:
            machine.ask()
        assert abs(clock.now() - machine.truth) <= 2 * SECOND
        assert clock.settled is (ahead == timedelta())
        assert bool(clock.problems()) is (ahead != timedelta())
    assert clock.corrections() == ()


@given(STEPS, st.sampled_from([HOUR, timedelta(days=9), timedelta(days=29)]))
def test_without_a_source_what_is_far_is_not_certain(
    steps: Sequence[Step], away: timedelta
) -> None:
    """However the clock jumps, nothing is deleted at a time that lies more than some days from the
    records, if no source confirms it."""
    machine = Machine(NOW)
    clock = machine.clock(NOW - away)
    for ahead, seconds, _ in steps:
        machine.ahead = ahead
        machine.passes(seconds, every=seconds / 5)
        clock.applied(clock.corrections())
        if clock.settled:
            assert abs(clock.now() - machine.truth) <= FAR
    machine.ahead = timedelta()
    machine.passes(2 * STABLE + 60)
    assert clock.now() == machine.truth
