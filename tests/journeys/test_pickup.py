"""Taken, not only delivered: the operator sees what the receiver did with a drop."""

from __future__ import annotations

import shutil
import signal

from tests.journeys.conftest import Journey


def _await_pickup(journey: Journey, limit: str) -> None:
    configuration = journey.scene.configuration
    configuration.write_text(
        configuration.read_text().replace(
            'path = "drop"\n', f'path = "drop"\nawait_pickup = "{limit}"\n'
        )
    )


def test_taken_rejected_and_left(journey: Journey) -> None:
    """A drop that its consumer removes is taken, one with an .err file is rejected with its reason,
    and one left too long is named."""
    _await_pickup(journey, "1s")
    journey.publish(3)
    assert journey.poll().code == 0
    taken, rejected, left = journey.whole_drops()
    shutil.rmtree(taken)
    rejected.with_name(f"{rejected.name}.err").write_text("permanent\nukjent avsender\n")
    assert journey.altinn.wait_for(
        lambda: len(journey.run("status", "--json").json["not_taken"]) >= 1, timeout=10
    )
    assert journey.poll().code == 0
    found = {
        each["evidence"]["path"]: each
        for each in journey.run("deliveries", "list", "--destination", "mappe", "--json").json
    }
    assert found[str(taken)]["taken_at"]
    assert "ukjent avsender" in found[str(rejected)]["rejection"]
    assert [late["reference"] for late in journey.run("status", "--json").json["not_taken"]] == [
        str(left)
    ]


def test_the_service_notices_what_is_taken(journey: Journey) -> None:
    """While the service runs, a drop that its consumer removes is taken within seconds, long before
    the next look at everything."""
    _await_pickup(journey, "1d")
    process = journey.start("run")
    journey.publish(1)
    assert journey.altinn.wait_for(lambda: len(journey.whole_drops()) == 1, timeout=30)
    shutil.rmtree(journey.whole_drops()[0])

    def taken() -> bool:
        found = journey.run("deliveries", "list", "--destination", "mappe", "--json").json
        return bool(found and found[0]["taken_at"])

    assert journey.altinn.wait_for(taken, timeout=15)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
