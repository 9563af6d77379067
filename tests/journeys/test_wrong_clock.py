"""A service, as a process, whose machine's clock is set while it runs: letters arrive, none is
deleted, and it is said."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connectors.sandbox.samples import letters as sample_letters
from connectors.sandbox.sinks.webhook import Reply
from daemon.delivery import retry
from tests.journeys.conftest import Begin, Journey
from tests.processes.warm import ROOT

KEEP = '[retention]\nbody = "365d"\nattachments = "365d"\nmetadata = "365d"\n\n[routing]'


@contextmanager
def running(journey: Journey, days: float) -> Iterator[Path]:
    """A service whose machine's clock is so many days ahead, as the file says that is yielded; it
    ends well."""
    ahead, errors = journey.scene.folder / "ahead", journey.scene.folder / "service.log"
    ahead.write_text(str(days))
    command = [
        sys.executable,
        "-m",
        "tests.processes.wrong_clock",
        str(journey.scene.configuration),
        str(ahead),
    ]
    with errors.open("a") as log:
        process = subprocess.Popen(command, stderr=log, cwd=ROOT, env=os.environ)
        try:
            yield ahead
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=30) == 0, errors.read_text()
        finally:
            process.kill()
            process.wait()


def publish(journey: Journey, first: int, last: int) -> int:
    """Publish these of the sample letters; how many there are now that are not confidential."""
    samples = sample_letters(last, party=journey.scene.party, now=datetime.now(UTC))
    for letter in samples[first:]:
        journey.altinn.publish(letter)
    return sum(not letter.is_confidential for letter in samples)


def logged(journey: Journey, words: str) -> Callable[[], bool]:
    """Whether the service has said so in its log."""
    return lambda: words in (journey.scene.folder / "service.log").read_text()


def set_clock(ahead: Path, days: float) -> None:
    """Set the machine's clock, at one moment."""
    new = ahead.with_suffix(".new")
    new.write_text(str(days))
    new.replace(ahead)


def pending(journey: Journey) -> dict[str, datetime]:
    """The deliveries that wait, and when they are due."""
    found = journey.run("deliveries", "list", "--state", "pending", "--json").json
    return {str(each["id"]): datetime.fromisoformat(each["due_at"]) for each in found}


@pytest.mark.parametrize("days", [365, -9000])
def test_set_wrong_and_right_again(begun: Callable[..., Begin], days: float) -> None:
    """With a webhook down and the clock years off for some seconds nothing dies, nothing waits for
    years, and letters arrive."""
    with begun(mailbox='poll_every = "1s"\n') as journey:
        journey.webhook.script(*[Reply(status=503)] * 6)
        publish(journey, 0, 3)
        with running(journey, 0) as ahead:
            assert journey.altinn.wait_for_calls("list", 5, timeout=30)
            set_clock(ahead, days)
            assert journey.altinn.wait_for(logged(journey, "cannot be right"), timeout=40)
            count = publish(journey, 3, 8)
            assert journey.altinn.wait_for(lambda: len(journey.whole_drops()) == count, timeout=40)
            set_clock(ahead, 0)
            assert journey.altinn.wait_for(logged(journey, "is right again"), timeout=40)
        status = journey.run("status", "--json").json
        assert status["deliveries"]["dead"] == 0
        waiting = pending(journey)
        assert waiting
        assert all(each < datetime.now(UTC) + retry.LONGEST for each in waiting.values())
        while waiting:  # the webhook refuses so many only
            for each in waiting:
                journey.run("deliveries", "retry", each)
            journey.poll()
            waiting = pending(journey)
        assert journey.run("status", "--json").json["deliveries"]["dead"] == 0


def test_a_start_400_days_ahead(begun: Callable[..., Begin]) -> None:
    """A service that starts 400 days ahead deletes nothing that is to be kept for a year, goes by
    Altinn's clock, and goes on rightly."""
    with begun(mailbox='poll_every = "1s"\n') as journey:
        text = journey.scene.configuration.read_text()
        journey.scene.configuration.write_text(text.replace("[routing]", KEEP))
        publish(journey, 0, 5)
        assert journey.poll().code == 0
        before = journey.run("status", "--json").json["messages"]
        with running(journey, 400) as ahead:
            assert journey.altinn.wait_for(logged(journey, "cannot be right"), timeout=40)
            publish(journey, 5, 9)
            assert journey.altinn.wait_for(
                lambda: journey.run("status", "--json").json["messages"] > before, timeout=40
            )
            set_clock(ahead, 0)
            assert journey.altinn.wait_for(logged(journey, "is right again"), timeout=40)
            well = lambda: "clock" not in journey.run("status", "--monitor").output  # noqa: E731
            assert journey.altinn.wait_for(well, timeout=40)
        assert journey.run("retention", "log", "--json").json == []
