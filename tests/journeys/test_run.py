"""The service: polls by itself, delivers, and stops when it is told to."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from connectors.sandbox.webhook_sink import Reply
from tests.journeys.conftest import Begin, Journey


def test_polls_on_its_schedule(begun: Callable[..., Begin]) -> None:
    """Letters that are published while the service runs arrive without anybody asking."""
    with begun(mailbox='poll_every = "1s"\n') as journey:
        process = journey.start("run")
        assert journey.altinn.wait_for_calls("list", 1, timeout=20)
        letters = journey.publish(13)
        assert journey.altinn.wait_for(lambda: len(journey.whole_drops()) == len(letters), timeout=20)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=10)
    assert process.returncode == 0, errors
    assert journey.dropped_ids() == sorted(letters)


def test_stops_with_work_in_flight(journey: Journey) -> None:
    """SIGTERM ends the service within ten seconds although a destination does not answer; nothing is lost by it."""
    letters = journey.publish(13)
    journey.webhook.script(*[Reply(delay=12)] * 3)
    process = journey.start("run")
    assert journey.webhook.wait_for(1, timeout=20) or journey.altinn.wait_for(
        lambda: len(journey.whole_drops()) == len(letters), timeout=20
    )
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert time.monotonic() - began < 10
    assert process.returncode == 0
    journey.webhook.script()
    assert journey.poll().code == 0
    assert journey.dropped_ids() == sorted(letters)


def test_two_do_not_work_on_one_store(journey: Journey) -> None:
    """A poll beside the running service is refused with the reason, and disturbs nothing."""
    process = journey.start("run")
    assert journey.altinn.wait_for_calls("list", 1, timeout=20)
    refused = journey.poll()
    assert refused.code == 4
    assert "another postmottak works with" in refused.errors
    assert "Traceback" not in refused.errors
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
    assert process.returncode == 0
