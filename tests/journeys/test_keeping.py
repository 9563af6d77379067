"""Keeping and deleting as an operator meets it: retention deletes what may go, a legal hold keeps
it, and both are told."""

from __future__ import annotations

from tests.journeys.conftest import Journey

RETENTION = '\n[retention]\nbody = "0d"\n'


def test_what_may_go_goes_and_what_is_held_stays(journey: Journey) -> None:
    """A dry run deletes nothing; the text of what is delivered goes, but for a letter under a legal
    hold, until that ends."""
    journey.publish(3)
    assert journey.poll().code == 0
    configuration = journey.scene.configuration
    configuration.write_text(configuration.read_text() + RETENTION)
    held, *others = [each["id"] for each in journey.run("messages", "list", "--json").json]
    assert journey.run("messages", "legal-hold", held, "--reason", "sak 26/77").code == 0
    assert "letters under a legal hold: 1" in journey.run("status").output

    assert journey.run("retention", "run", "--dry-run").code == 0
    assert journey.run("retention", "log", "--json").json == []
    assert journey.run("retention", "run").code == 0
    assert {each["message"] for each in journey.run("retention", "log", "--json").json} == set(
        others
    )
    assert journey.run("messages", "show", others[0], "--json").json["body_deleted_at"]

    assert journey.run("messages", "end-legal-hold", held).code == 0
    assert journey.run("retention", "run").code == 0
    assert held in {each["message"] for each in journey.run("retention", "log", "--json").json}
    assert journey.run("messages", "end-legal-hold", held).code == 1
