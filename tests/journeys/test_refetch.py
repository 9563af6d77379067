"""A letter that came without a part: seen by monitors, asked for again beside the running service,
and delivered at an operator's word."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable

from connectors.sandbox.altinn3 import faults
from connectors.sandbox.letters import PretendAttachment, PretendLetter
from tests.journeys.conftest import Begin, Journey


def _states(journey: Journey) -> list[list[str]]:
    """The states of the files in each drop."""
    return sorted(
        [file["state"] for file in json.loads((drop / "message.json").read_text())["files"]]
        for drop in journey.whole_drops()
    )


def test_what_did_not_come_is_asked_for_again(begun: Callable[..., Begin]) -> None:
    """Beside the running service the part comes, the sender is told only then, and destinations get
    it once they are to."""
    with begun(mailbox='mark_read = "stored"\n') as journey:
        files = (
            PretendAttachment(name="Vedtak.pdf", content=b"%PDF vedtak"),
            PretendAttachment(name="Kart.pdf", content=b"%PDF kart"),
        )
        letter = journey.altinn.publish(PretendLetter(party=journey.scene.party, attachments=files))
        journey.altinn.faults.inject(faults.wrong_bytes(), "download", times=None)
        assert journey.poll().json["stored"] == 1
        told = journey.run("status", "--monitor")
        assert told.output.startswith("POSTMOTTAK WARNING - Attachments of the letter ")
        (lacking,) = journey.run("status", "--json").json["incomplete"]
        assert (lacking["missing"], lacking["may_come"]) == (2, True)
        assert "1 letter lacks attachments that were sent" in journey.run("status").output
        assert "Read" not in journey.altinn.statuses(letter)
        asked = journey.run("messages", "refetch", lacking["message_id"], "--json")
        assert (asked.code, [part["after"] for part in asked.json["parts"]]) == (
            3,
            ["checksum_failed"] * 2,
        )

        journey.altinn.faults.clear()
        process = journey.start("run")
        assert process.stderr
        # before it handles SIGHUP, that signal would end it
        assert any("service started" in line for line in process.stderr)
        asked = journey.run("messages", "refetch", lacking["message_id"])
        assert asked.code == 0, asked.errors
        (command,) = [
            line.split()
            for line in asked.output.splitlines()
            if line.startswith("    postmottak deliveries resend ")
        ]
        assert _states(journey) == [["checksum_failed"] * 2], (
            "one letter arrives once, unless somebody wants it otherwise"
        )
        assert journey.run(*command[1:], "--yes").code == 0
        process.send_signal(signal.SIGHUP)  # so that it looks at once, and not within a minute
        assert journey.altinn.wait_for(lambda: len(journey.whole_drops()) > 1, timeout=90)
        assert journey.altinn.wait_for_status(letter, "Read", timeout=90)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
        assert _states(journey) == [["checksum_failed"] * 2, ["present"] * 2]
        assert (
            journey.run("messages", "refetch", lacking["message_id"], "--json").json["parts"] == []
        )
        assert not journey.run("status", "--json").json["incomplete"]


def test_it_is_delivered_again_at_once(journey: Journey) -> None:
    """With --resend every destination that got the letter without gets it again, as a delivery of
    its own, and only if something came."""
    files = (PretendAttachment(name="Vedtak.pdf", content=b"%PDF vedtak"),)
    journey.altinn.publish(PretendLetter(party=journey.scene.party, attachments=files))
    journey.altinn.faults.inject(faults.wrong_bytes(), "download", times=None)
    journey.poll()
    (lacking,) = journey.run("status", "--json").json["incomplete"]
    arguments = ("messages", "refetch", lacking["message_id"], "--resend", "--json")
    assert journey.run(*arguments).json["resent"] == []
    journey.altinn.faults.clear()
    assert (
        len(journey.run(*arguments).json["resent"])
        == len(journey.run("deliveries", "list", "--json").json) / 2
    )
    assert journey.poll().code == 0
    assert _states(journey) == [["checksum_failed"], ["present"]]
    assert journey.run(*arguments).json["resent"] == []


def test_a_mistake_is_told(journey: Journey) -> None:
    """A letter that does not exist, and one whose mailbox has left the configuration, are reported
    in words."""
    journey.publish(13)
    journey.poll()
    assert journey.run("messages", "refetch", "no-such-letter").code == 1
    listed = journey.run("messages", "list", "--json").json
    text = journey.scene.configuration.read_text()
    journey.scene.configuration.write_text(text.replace("[mailbox.altinn]", "[mailbox.other]"))
    ended = journey.run("messages", "refetch", listed[0]["id"])
    assert (ended.code, "Traceback" in ended.errors) == (1, False)
    assert "the mailbox altinn, which is no longer in the configuration" in ended.errors
