"""Taken, not only delivered: the operator sees what the receiver did with a drop."""

from __future__ import annotations

import shutil

from tests.journeys.conftest import Journey


def _await_pickup(journey: Journey, limit: str) -> None:
    configuration = journey.scene.configuration
    configuration.write_text(configuration.read_text().replace('path = "drop"\n', f'path = "drop"\nawait_pickup = "{limit}"\n'))


def test_taken_rejected_and_left(journey: Journey) -> None:
    """A drop that its consumer removes is taken, one with an .err file is rejected with its reason, and one left too long is named."""
    _await_pickup(journey, "1s")
    journey.publish(3)
    assert journey.poll().code == 0
    taken, rejected, left = journey.whole_drops()
    shutil.rmtree(taken)
    rejected.with_name(f"{rejected.name}.err").write_text("permanent\nukjent avsender\n")
    assert journey.altinn.wait_for(lambda: len(journey.run("status", "--json").json["not_taken"]) >= 1, timeout=10)
    assert journey.poll().code == 0
    found = {each["evidence"]["path"]: each for each in journey.run("deliveries", "list", "--destination", "mappe", "--json").json}
    assert found[str(taken)]["taken_at"]
    assert "ukjent avsender" in found[str(rejected)]["rejection"]
    assert [late["reference"] for late in journey.run("status", "--json").json["not_taken"]] == [str(left)]
