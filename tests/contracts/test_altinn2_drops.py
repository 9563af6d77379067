"""The same letters through Altinn 2 and through Altinn 3: the same drops, but for what the old
contract cannot tell."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path
from typing import Any

from connectors.sandbox.altinn2.server import PretendAltinn2
from connectors.sandbox.altinn3.server import FakeAltinn
from connectors.sandbox.letters import PretendLetter
from connectors.sandbox.samples import letters as sample_letters
from connectors.sandbox.setup import Scene, prepare, prepare_altinn2

NUMBER = 60
CANNOT_TELL = {
    "id": "follows from the mailbox, and from its id for the letter",
    "source": "the mailbox, and its names for the letter",
    "sender.organisation": "Altinn 2 gives names only",
    "sender.technical_organisation": "Altinn 2 gives names only",
    "created_at": "Altinn 2 gives one time, that of sending",
    "fetched_at": "another poll",
    "properties": "Altinn 2 has none",
    "references": "Altinn 2 has none",
    "delivery": "follows from the message",
    "files.sender_checksum": "Altinn 2 gives none",
}
"""Every difference between the two message.json of a letter, and why it is there. Beside them,
Altinn 2 cuts times to thousandths."""


def poll(configuration: Path) -> dict[str, Any]:
    command = [
        sys.executable,
        "-c",
        "import postmottak; postmottak.main()",
        "-c",
        str(configuration),
        "poll",
        "--json",
    ]
    ended = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2]
    )
    summary: dict[str, Any] = json.loads(ended.stdout)
    return summary


def drops(folder: Path) -> dict[str, Path]:
    """Each dropped letter by its sender's reference."""
    found = {
        json.loads((each / "message.json").read_text())["sender_reference"]: each
        for each in folder.iterdir()
    }
    assert len(found) == len(list(folder.iterdir()))
    return found


def told(drop: Path) -> dict[str, Any]:
    """What message.json says, with times cut to thousandths."""
    letter: dict[str, Any] = json.loads((drop / "message.json").read_text())
    for key in ("published_at", "due_at"):
        letter[key] = datetime.fromisoformat(letter[key]).isoformat(timespec="milliseconds")
    return letter


def differences(ours: Any, theirs: Any, place: str = "") -> set[str]:
    """The places in which two documents differ, such as `sender.organisation`."""
    if place in CANNOT_TELL or type(ours) is not type(theirs) or not isinstance(ours, (dict, list)):
        return set() if ours == theirs else {place}
    if isinstance(ours, list):
        pairs = zip_longest(ours, theirs)
        return {found for ours, theirs in pairs for found in differences(ours, theirs, place)}
    names = {*ours, *theirs}
    return {
        found
        for name in names
        for found in differences(ours.get(name), theirs.get(name), f"{place}.{name}".lstrip("."))
    }


def contents(drop: Path) -> dict[str, bytes]:
    return {
        each.name: each.read_bytes()
        for each in drop.iterdir()
        if each.name not in {"message.json", "SHA256SUMS"}
    }


def test_both_ways_give_the_same_drops(tmp_path: Path) -> None:
    """Letters of every service give the same folders both ways: names, texts,
    attachments, routes; differences are listed."""
    three, two = Scene(folder=tmp_path / "three"), Scene(folder=tmp_path / "two")
    routing = """
        recipient = [
          { name = "skatt", deliver_to = ["mappe"] },
          { name = "post", deliver_to = ["mappe"] },
        ]
        route = [
          { name = "Skatt", services = ["4255/8"], to = ["skatt"] },
          { name = "Alt", to = ["post"] },
        ]
    """
    with FakeAltinn() as altinn, PretendAltinn2() as altinn2:
        for scene in (three, two):
            prepare(altinn, scene, routing=routing)
        published = sample_letters(NUMBER, party=three.party, now=datetime.now(UTC))
        for letter in published:
            altinn.publish(letter)
            altinn2.publish(letter)
        one = poll(three.configuration)
        other = poll(prepare_altinn2(altinn2, two))
    expected = sum("taushetsbelagt" not in letter.resource for letter in published)
    assert (one["stored"], one["delivered"], one["waiting"]) == (
        expected,
        expected,
        NUMBER - expected,
    )
    assert [other[key] for key in ("stored", "delivered", "waiting")] == [
        one[key] for key in ("stored", "delivered", "waiting")
    ]
    ours, theirs = drops(two.drop), drops(three.drop)
    assert set(ours) == set(theirs)
    found: set[str] = set()
    for reference, drop in theirs.items():
        found |= differences(told(ours[reference]), told(drop))
        assert ours[reference].name.split("_")[:2] == drop.name.split("_")[:2]
        assert contents(ours[reference]) == contents(drop)
    assert found == set(CANNOT_TELL)


def test_a_letter_that_comes_both_ways_is_kept_once(tmp_path: Path) -> None:
    """A letter that Altinn 3 has from Altinn 2 is stored by whichever mailbox brings it first, and
    a duplicate to the other."""
    scene = Scene(folder=tmp_path)
    with FakeAltinn() as altinn, PretendAltinn2() as altinn2:
        prepare(altinn, scene)
        path = prepare_altinn2(altinn2, scene)
        path.write_text(
            path.read_text()
            .replace("altinn2.db", "postmottak.db")
            .replace("content-altinn2", "content")
        )
        for number, configuration in (
            (7_000_001, path),
            (7_000_002, scene.configuration),
            (7_000_003, path),
        ):
            letter = PretendLetter(party=scene.party, altinn2_id=number, title=f"Brev {number}")
            altinn.publish(letter)
            altinn2.publish(letter)
            summary = poll(configuration)
            assert (summary["stored"], summary["duplicates"]) == (1, int(number > 7_000_001))
    assert len(list(scene.drop.iterdir())) == 3
