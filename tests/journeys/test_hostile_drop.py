"""A service whose drop lies in a folder that others may write to."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.connectors.hostile import KINDS, make_outside, picture
from tests.journeys.conftest import Begin, Journey

TABLE = """
[[recipient]]
name = "post"
deliver_to = ["mappe", "arkiv"]

[[route]]
name = "Alt"
to = ["post"]
"""


def _configure(journey: Journey) -> Path:
    """Have letters dropped with an index, and in a second drop as well; that one's folder."""
    other = journey.scene.folder / "arkiv"
    other.mkdir()
    configuration = journey.scene.configuration
    text = configuration.read_text().replace('path = "drop"\n', 'path = "drop"\nlayout = "csv"\n')
    configuration.write_text(f'{text}\n[destination.arkiv]\ntype = "filedrop"\npath = "arkiv"\n')
    return other


@pytest.mark.parametrize(
    ("name", "kind"),
    [("index.csv", "a_pipe"), (".postmottak", "a_link_to_a_folder"), (".postmottak", "a_pipe")],
)
def test_something_planted_in_a_drop(
    tmp_path: Path, begun: Callable[..., Begin], name: str, kind: str
) -> None:
    """Letters go to the other drop, those of this one wait with a reason that names it, SIGTERM
    ends the service in order, and when what was planted is removed each letter comes once."""
    outside = make_outside(tmp_path)
    with begun(routing=TABLE) as journey:
        other = _configure(journey)
        planted = journey.scene.drop / name
        KINDS[kind](planted, outside)
        before = picture(outside)
        letters = journey.publish(5)
        process = journey.start("run")

        def waiting() -> bool:
            found = journey.run("deliveries", "list", "--destination", "mappe", "--json").json
            return len(found) >= len(letters) and all(
                name in (each["last_error"] or "") for each in found
            )

        assert journey.altinn.wait_for(
            lambda: len([each for each in other.iterdir() if each.name[0] != "."]) == len(letters),
            timeout=30,
        )
        assert journey.altinn.wait_for(waiting, timeout=30)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 0, errors
        assert "everything_ended=yes" in errors
        assert picture(outside) == before
        planted.unlink()
        for each in journey.run("deliveries", "list", "--destination", "mappe", "--json").json:
            assert journey.run("deliveries", "retry", each["id"]).code == 0
        assert journey.poll().code == 0
        folders = [each for each in journey.whole_drops() if each.name != "index.csv"]
        assert len(folders) == len(letters)
        index = (journey.scene.drop / "index.csv").read_text()
        assert all(
            f";{each.name};message.json" not in index and f";{each.name};" in index
            for each in folders
        )
