"""A backup in the middle of the work, the loss of everything, a restore on an empty place: every
letter arrives, under its one name.

`restore_sweep.py [--letters N] [--report FILE]`. While the service fetches and delivers, a backup
is taken; the service goes on, is killed, and its store removed. After `restore` and one `poll` each
letter is dropped once, and whatever the folder, the mail sink and the webhook sink got before has
the name, the Message-ID and the id that it has afterwards. Once for each moment of the backup.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from connectors.sandbox.samples import letters as sample_letters
from tests.journeys.conftest import Begin, Journey, kill
from tests.sweeps import aftermath
from tests.sweeps.report import write_section

MOMENTS = (0.02, 0.25, 0.5, 0.75, 0.95)
"""When the backup is taken: when this share of the letters has been fetched."""
_GOES_ON = 0.1
"""The share of the letters that the service still delivers before it is lost."""
_LONG = 120.0  # seconds


@dataclass(frozen=True, kw_only=True)
class Result:
    """One loss. Deliveries count for each destination."""

    letters: int
    saved: int
    """Letters in the backup."""
    delivered_then: int
    """Deliveries that the backup knew as done."""
    delivered_since: int
    """Mails and webhooks that came between the backup and the loss."""
    repeats: int
    faults: tuple[str, ...]


def lose_and_restore(letters: int, moment: float) -> Result:
    """One installation, one backup, one loss, one restore, one poll; what was wrong."""
    with (
        tempfile.TemporaryDirectory(prefix="restore-") as name,
        Begin(Path(name), routing=aftermath.ROUTING) as journey,
    ):
        published = _publish(journey, letters)
        backup = journey.scene.folder / "backup"
        faults = [*_work_until_lost(journey, backup, letters, moment)]
        saved, before = aftermath.states_in(backup / "postmottak.db"), _names(journey)
        _lose(journey)
        for arguments in (("restore", str(backup)), ("poll", "--json"), ("db", "check")):
            ended = journey.run(*arguments)
            faults += (
                [f"{arguments[0]} ended with {ended.code}: {ended.errors.splitlines()[-1:]}"]
                if ended.code
                else []
            )
        done = {
            key
            for key, destination, state in saved
            if state == "delivered" and destination != "mappe"
        }
        since = len(before & _sinks(journey)) - len(done)
        faults += aftermath.faults(journey, published, most_repeats=since)
        faults += (
            [f"{len(lost)} names of before are gone"] if (lost := before - _names(journey)) else []
        )
        hooks, mails = aftermath.taken(journey)
    return Result(
        letters=letters,
        saved=len(saved) // aftermath.PER_LETTER,
        delivered_then=sum(state == "delivered" for _, _, state in saved),
        delivered_since=since,
        repeats=hooks.total() - len(hooks) + mails.total() - len(mails),
        faults=tuple(faults),
    )


def _publish(journey: Journey, number: int) -> list[str]:
    more = sample_letters(number * 2, party=journey.scene.party, now=datetime.now(UTC))
    ordinary = [letter for letter in more if not letter.is_confidential][:number]
    return [journey.altinn.publish(letter) for letter in ordinary]


def _work_until_lost(journey: Journey, backup: Path, letters: int, moment: float) -> Iterator[str]:
    """Let the service fetch and deliver, take a backup at the moment, let it go on, and kill it."""
    with (journey.scene.folder / "log").open("w") as log:
        service = journey.start("run", errors=log)
    if not journey.altinn.wait_for(
        lambda: journey.altinn.count("overview") >= letters * moment, timeout=_LONG
    ):
        yield "the service did not get so far"
    made = journey.run("backup", str(backup))
    if made.code:
        yield f"the backup ended with {made.code}: {made.errors}"
    journey.webhook.wait_for(
        min(letters, len(journey.webhook.taken) + int(letters * _GOES_ON)), timeout=_LONG
    )
    kill(service)


def _names(journey: Journey) -> set[str]:
    """All names under which somebody has a letter."""
    return _sinks(journey) | {drop.name for drop in journey.whole_drops()}


def _sinks(journey: Journey) -> set[str]:
    return {key for seen in aftermath.taken(journey) for key in seen}


def _lose(journey: Journey) -> None:
    """Everything that the installation has made is gone."""
    for left in journey.scene.folder.glob("postmottak.db*"):
        if left.is_dir():  # where the service is woken
            shutil.rmtree(left)
        else:
            left.unlink()
    shutil.rmtree(journey.scene.folder / "content")


def main() -> int:
    """Lose and restore at each moment, print a table, and fail if anything was wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--letters", type=int, default=1000)
    parser.add_argument("--report", type=Path, help="write the result into this page")
    options = parser.parse_args()
    began, results = time.monotonic(), []
    for moment in MOMENTS:
        results.append(lose_and_restore(options.letters, moment))
        for fault in results[-1].faults:
            print(f"backup at {moment:.0%}: {fault}", flush=True)
    text = _table(results, time.monotonic() - began)
    print(text)
    if options.report:
        write_section(options.report, "restore-sweep", text)
    return 1 if any(result.faults for result in results) else 0


def _table(results: Sequence[Result], seconds: float) -> str:
    where = (
        f"{datetime.now(UTC):%Y-%m-%d}, Linux {platform.release()}, Python "
        f"{platform.python_version()}; {seconds / 60:.0f} minutes."
    )
    columns = (
        "letters",
        "in the backup",
        "deliveries done then",
        "mails and webhooks since",
        "repeats under the same id",
        "wrong",
    )
    rows = [
        (
            each.letters,
            each.saved,
            each.delivered_then,
            each.delivered_since,
            each.repeats,
            len(each.faults),
        )
        for each in results
    ]
    lines = [f"| {' | '.join(map(str, row))} |" for row in (columns, *rows)]
    return "\n".join([where, "", lines[0], f"|{'---:|' * len(columns)}", *lines[1:]])


if __name__ == "__main__":
    sys.exit(main())
