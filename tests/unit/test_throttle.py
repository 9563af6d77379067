"""Lanes: so much at a time at one destination, and a pause for one that keeps failing."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from daemon.delivery.throttle import CONCURRENCY, LOOK_AGAIN, DestinationQueue, DestinationQueues
from tests.unit.conftest import NOW

SECOND = timedelta(seconds=1)
FIRST_PAUSE = timedelta(seconds=30)


def finished(queue: DestinationQueue, now: datetime, *, failed: bool) -> None:
    """An attempt has ended."""
    queue.running -= 1
    if failed:
        queue.breaker.failed(now)
    else:
        queue.breaker.succeeded()


def fail(queue: DestinationQueue, times: int) -> None:
    """So many attempts end in a row, since the destination cannot be used."""
    for _ in range(times):
        queue.running += 1
        finished(queue, NOW, failed=True)


def test_a_lane_has_room_for_so_many() -> None:
    """As many attempts as the lane is wide are under way at a time, and one more for each that
    ends."""
    queue = DestinationQueue()
    assert queue.free_slots(NOW) == CONCURRENCY
    queue.running = CONCURRENCY
    assert queue.free_slots(NOW) == 0
    finished(queue, NOW, failed=False)
    assert queue.free_slots(NOW) == 1


def test_several_deliveries_are_claimed_together() -> None:
    """While others are under way, a lane waits until it has room for half of its width; with
    nothing under way, for one."""
    queue = DestinationQueue(concurrency_limit=6, running=4)
    assert not queue.should_claim(NOW)
    queue.running = 3
    assert queue.should_claim(NOW)
    fail(queue, 5)
    queue.running = 0
    assert [queue.should_claim(NOW), queue.should_claim(NOW + FIRST_PAUSE)] == [False, True]


def test_five_failures_in_a_row_close_a_lane() -> None:
    """A destination that could not be used five times in a row is left alone for half a minute, and
    then tried with one delivery."""
    queue = DestinationQueue()
    fail(queue, 4)
    assert queue.free_slots(NOW) == CONCURRENCY
    fail(queue, 1)
    assert queue.closed_until == NOW + FIRST_PAUSE
    assert [queue.free_slots(NOW + FIRST_PAUSE - SECOND), queue.free_slots(NOW + FIRST_PAUSE)] == [
        0,
        1,
    ]
    queue.running = 1
    assert queue.free_slots(NOW + FIRST_PAUSE) == 0


def test_failures_count_in_a_row_only() -> None:
    """One delivery that is made in between shows that the destination can be used."""
    queue = DestinationQueue()
    for _ in range(3):
        fail(queue, 4)
        queue.running += 1
        finished(queue, NOW, failed=False)
    assert (queue.closed_until, queue.free_slots(NOW)) == (None, CONCURRENCY)


def test_a_pause_grows_up_to_a_limit() -> None:
    """Each try that fails after a pause makes the next pause twice as long, up to ten minutes."""
    queue, pauses = DestinationQueue(), []
    fail(queue, 5)
    for _ in range(7):
        now = queue.closed_until or NOW
        queue.running += 1
        finished(queue, now, failed=True)
        pauses.append(((queue.closed_until or NOW) - now).total_seconds())
    assert pauses == [60, 120, 240, 480, 600, 600, 600]


def test_late_failures_make_a_pause_no_longer() -> None:
    """What was under way when the lane closed, and fails then too, tells nothing new."""
    queue = DestinationQueue(running=3)
    fail(queue, 5)
    closed_until = queue.closed_until
    for _ in range(3):
        finished(queue, NOW + SECOND, failed=True)
    assert closed_until == NOW + FIRST_PAUSE
    assert queue.closed_until == closed_until
    queue.running += 1
    finished(queue, closed_until, failed=True)
    assert queue.closed_until == closed_until + 2 * FIRST_PAUSE


def test_a_success_opens_a_lane_wide() -> None:
    """The first delivery that is made opens the lane, and the next trouble begins with a short
    pause again."""
    queue = DestinationQueue()
    fail(queue, 5)
    after = NOW + FIRST_PAUSE
    queue.running += 1
    finished(queue, after, failed=True)
    queue.running += 1
    finished(queue, after + 2 * FIRST_PAUSE, failed=False)
    assert (queue.free_slots(after), queue.closed_until) == (CONCURRENCY, None)
    fail(queue, 4)
    assert queue.closed_until is None
    fail(queue, 1)
    assert queue.closed_until == NOW + FIRST_PAUSE


def test_a_lane_that_had_nothing_is_asked_again_after_a_while() -> None:
    """A lane for which nothing was due is not asked at each turn, but soon enough for letters that
    came meanwhile."""
    queue = DestinationQueue()
    assert queue.should_claim(NOW)
    queue.drained_at = NOW
    assert [queue.should_claim(NOW + LOOK_AGAIN / 2), queue.should_claim(NOW + LOOK_AGAIN)] == [
        False,
        True,
    ]


def test_lanes_are_remembered_from_round_to_round() -> None:
    """A new round looks at each lane again and keeps its pause; a destination that is no more is
    forgotten once nothing runs there."""
    queues = DestinationQueues()
    queues.begin_round({"erp": CONCURRENCY, "mail": CONCURRENCY, "old": CONCURRENCY})
    fail(queues["erp"], 5)
    queues["mail"].drained_at = NOW
    queues["old"].running = 1
    queues.begin_round({"erp": CONCURRENCY, "mail": CONCURRENCY})
    assert (queues["erp"].breaker.failures, queues["mail"].should_claim(NOW), queues.running) == (
        5,
        True,
        1,
    )
    queues["old"].running = 0
    fail(queues["old"], 5)
    queues.begin_round({"mail": CONCURRENCY})
    assert queues.paused(NOW) == ()


@pytest.mark.parametrize(
    ("after", "paused", "again"), [(0, ("erp",), 30), (29, ("erp",), 30), (30, (), None)]
)
def test_what_is_paused_and_until_when(
    after: int, paused: tuple[str, ...], again: int | None
) -> None:
    """Destinations that are left alone are named, with the time when the next may be tried."""
    queues = DestinationQueues()
    queues.begin_round({"erp": CONCURRENCY, "mail": CONCURRENCY})
    fail(queues["erp"], 5)
    now = NOW + after * SECOND
    assert queues.paused(now) == paused
    assert queues.next_reopening(now) == (NOW + again * SECOND if again else None)


def test_when_a_lane_is_behind() -> None:
    """More is due than there is room for while a lane is at work and may have more; one that has
    nothing, or rests, is not behind."""
    queue = DestinationQueue(concurrency_limit=4)
    assert not queue.has_backlog
    queue.running = 4
    queue.claimed(NOW, more=True)
    assert queue.has_backlog
    queue.claimed(NOW, more=False)
    assert not queue.has_backlog
