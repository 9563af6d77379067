"""The circuit breaker's states, whatever happens in whichever order."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from daemon.core.backoff import Backoff
from daemon.core.circuit_breaker import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    CircuitBreaker,
    CircuitState,
)
from tests.unit.conftest import NOW

CLOSED, OPEN, HALF_OPEN = CircuitState
SECOND = timedelta(seconds=1)


def opened() -> CircuitBreaker:
    breaker = CircuitBreaker()
    for _ in range(breaker.threshold):
        breaker.failed(NOW)
    return breaker


def test_from_closed_to_open_to_half_open() -> None:
    """Five failures in a row open it for half a minute; then one call tries."""
    breaker, states = CircuitBreaker(), []
    for _ in range(5):
        states.append(breaker.state(NOW))
        breaker.failed(NOW)
    assert states == [CLOSED] * 5
    moments = (NOW, NOW + FIRST_PAUSE - SECOND, NOW + FIRST_PAUSE)
    assert [breaker.state(moment) for moment in moments] == [OPEN, OPEN, HALF_OPEN]


def test_a_failed_probe_opens_it_for_longer() -> None:
    """Each failure when half-open doubles the pause, up to ten minutes."""
    breaker, pauses = opened(), []
    for _ in range(7):
        now = breaker.open_until or NOW
        breaker.failed(now)
        pauses.append(((breaker.open_until or NOW) - now).total_seconds())
    assert pauses == [60, 120, 240, 480, 600, 600, 600]


def test_a_success_closes_it() -> None:
    """Whatever was before, one success forgets it, and the next pause is the first one again."""
    breaker = opened()
    breaker.failed(NOW + FIRST_PAUSE)
    breaker.succeeded()
    assert breaker == CircuitBreaker()


def test_chance_spreads_pauses() -> None:
    """Pauses of many breakers that open together end apart."""
    breaker = CircuitBreaker(backoff=Backoff(FIRST_PAUSE, LONGEST_PAUSE, jitter=0.2), threshold=1)
    breaker.failed(NOW, chance=1)
    assert breaker.open_until == NOW + 0.8 * FIRST_PAUSE


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 900)), max_size=60))
def test_whatever_happens(events: list[tuple[bool, int]]) -> None:
    """It opens only after enough failures in a row, never for longer than the longest pause, and a
    failure while it is open changes no pause."""
    breaker, now, in_a_row = CircuitBreaker(), NOW, 0
    for ok, seconds in events:
        now += timedelta(seconds=seconds)
        before, until = breaker.state(now), breaker.open_until
        if ok:
            breaker.succeeded()
        else:
            breaker.failed(now)
        in_a_row = 0 if ok else in_a_row + 1
        assert breaker.failures == in_a_row
        assert (breaker.state(now) is CLOSED) == (in_a_row < breaker.threshold)
        if breaker.open_until and before is OPEN:
            assert breaker.open_until == until
        elif breaker.open_until:
            assert FIRST_PAUSE <= breaker.open_until - now <= LONGEST_PAUSE


def test_a_pause_can_be_ended() -> None:
    """Somebody may ask for a call now: then one call tries, and its failure begins a longer pause.
    What is closed stays closed."""
    breaker = opened()
    breaker.end_pause(NOW + SECOND)
    assert breaker.state(NOW + SECOND) is HALF_OPEN
    breaker.failed(NOW + SECOND)
    moments = (NOW + SECOND + FIRST_PAUSE, NOW + SECOND + 2 * FIRST_PAUSE)
    assert [breaker.state(moment) for moment in moments] == [OPEN, HALF_OPEN]
    breaker.succeeded()
    breaker.end_pause(NOW)
    assert breaker.state(NOW) is CLOSED
