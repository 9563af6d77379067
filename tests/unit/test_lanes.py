"""Lanes: so much at a time at one destination, and a pause for one that keeps failing."""

from __future__ import annotations

from datetime import timedelta

import pytest

from daemon.delivery.throttle import LOOK_AGAIN, WIDTH, Lane, Lanes
from tests.unit.conftest import NOW

SECOND = timedelta(seconds=1)
FIRST_PAUSE = timedelta(seconds=30)


def fail(lane: Lane, times: int) -> None:
    """So many attempts end in a row, since the destination cannot be used."""
    for _ in range(times):
        lane.running += 1
        lane.ended(NOW, failed=True)


def test_a_lane_has_room_for_so_many() -> None:
    """As many attempts as the lane is wide are under way at a time, and one more for each that ends."""
    lane = Lane()
    assert lane.room(NOW) == WIDTH
    lane.running = WIDTH
    assert lane.room(NOW) == 0
    lane.ended(NOW, failed=False)
    assert lane.room(NOW) == 1


def test_several_deliveries_are_claimed_together() -> None:
    """While others are under way, a lane waits until it has room for half of its width; with nothing under way, for one."""
    lane = Lane(width=6, running=4)
    assert not lane.is_worth_a_claim(NOW)
    lane.running = 3
    assert lane.is_worth_a_claim(NOW)
    fail(lane, 5)
    lane.running = 0
    assert [lane.is_worth_a_claim(NOW), lane.is_worth_a_claim(NOW + FIRST_PAUSE)] == [False, True]


def test_five_failures_in_a_row_close_a_lane() -> None:
    """A destination that could not be used five times in a row is left alone for half a minute, and then tried with one delivery."""
    lane = Lane()
    fail(lane, 4)
    assert lane.room(NOW) == WIDTH
    fail(lane, 1)
    assert lane.closed_until == NOW + FIRST_PAUSE
    assert [lane.room(NOW + FIRST_PAUSE - SECOND), lane.room(NOW + FIRST_PAUSE)] == [0, 1]
    lane.running = 1
    assert lane.room(NOW + FIRST_PAUSE) == 0


def test_failures_count_in_a_row_only() -> None:
    """One delivery that is made in between shows that the destination can be used."""
    lane = Lane()
    for _ in range(3):
        fail(lane, 4)
        lane.running += 1
        lane.ended(NOW, failed=False)
    assert (lane.closed_until, lane.room(NOW)) == (None, WIDTH)


def test_a_pause_grows_up_to_a_limit() -> None:
    """Each try that fails after a pause makes the next pause twice as long, up to ten minutes."""
    lane, pauses = Lane(), []
    fail(lane, 5)
    for _ in range(7):
        now = lane.closed_until or NOW
        lane.running += 1
        lane.ended(now, failed=True)
        pauses.append(((lane.closed_until or NOW) - now).total_seconds())
    assert pauses == [60, 120, 240, 480, 600, 600, 600]


def test_late_failures_make_a_pause_no_longer() -> None:
    """What was under way when the lane closed, and fails then too, tells nothing new."""
    lane = Lane(running=3)
    fail(lane, 5)
    closed_until = lane.closed_until
    for _ in range(3):
        lane.ended(NOW + SECOND, failed=True)
    assert (lane.closed_until, lane.pause) == (closed_until, FIRST_PAUSE)


def test_a_success_opens_a_lane_wide() -> None:
    """The first delivery that is made opens the lane, and the next trouble begins with a short pause again."""
    lane = Lane()
    fail(lane, 5)
    after = NOW + FIRST_PAUSE
    lane.running += 1
    lane.ended(after, failed=True)
    lane.running += 1
    lane.ended(after + 2 * FIRST_PAUSE, failed=False)
    assert (lane.room(after), lane.pause, lane.failures) == (WIDTH, FIRST_PAUSE, 0)


def test_a_lane_that_had_nothing_is_asked_again_after_a_while() -> None:
    """A lane for which nothing was due is not asked at each turn, but soon enough for letters that came meanwhile."""
    lane = Lane()
    assert lane.is_worth_a_claim(NOW)
    lane.drained_at = NOW
    assert [lane.is_worth_a_claim(NOW + LOOK_AGAIN / 2), lane.is_worth_a_claim(NOW + LOOK_AGAIN)] == [False, True]


def test_lanes_are_remembered_from_round_to_round() -> None:
    """A new round looks at each lane anew and keeps its pause; a destination that is no more is forgotten once nothing runs there."""
    lanes = Lanes()
    lanes.begin_round({"erp": WIDTH, "mail": WIDTH, "old": WIDTH})
    fail(lanes["erp"], 5)
    lanes["mail"].drained_at = NOW
    lanes["old"].running = 1
    lanes.begin_round({"erp": WIDTH, "mail": WIDTH})
    assert (lanes["erp"].failures, lanes["mail"].is_worth_a_claim(NOW), lanes.running) == (5, True, 1)
    lanes["old"].running = 0
    fail(lanes["old"], 5)
    lanes.begin_round({"mail": WIDTH})
    assert lanes.paused(NOW) == ()


@pytest.mark.parametrize(("after", "paused", "again"), [(0, ("erp",), 30), (29, ("erp",), 30), (30, (), None)])
def test_what_is_paused_and_until_when(after: int, paused: tuple[str, ...], again: int | None) -> None:
    """Destinations that are left alone are named, with the time when the next may be tried."""
    lanes = Lanes()
    lanes.begin_round({"erp": WIDTH, "mail": WIDTH})
    fail(lanes["erp"], 5)
    now = NOW + after * SECOND
    assert lanes.paused(now) == paused
    assert lanes.open_again(now) == (NOW + again * SECOND if again else None)


def test_when_a_lane_is_behind() -> None:
    """More is due than there is room for while a lane is at work and may have more; one that has nothing, or rests, is not behind."""
    lane = Lane(width=4)
    assert not lane.is_behind
    lane.running = 4
    lane.asked(NOW, more=True)
    assert lane.is_behind
    lane.asked(NOW, more=False)
    assert not lane.is_behind
