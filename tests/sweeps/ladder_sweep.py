"""Kills what tells people of unacknowledged letters at each of its steps, and starts it again.

After each kill the ladder is climbed to its end. Whatever the point, each person is told each step
once, or twice under the same Message-ID; nobody is told early, and nothing is skipped. Before, the
clock is set back and forth by days, and at two steps the mail server is down for one mail.

    python -m tests.sweeps.ladder_sweep [EVERY] [--report FILE]

With EVERY, one of so many points.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from daemon.core.errors import TemporaryFailure
from daemon.core.ports import Notification
from daemon.store import Store
from daemon.store.awaited import Awaited
from tests.sweeps.report import write_section
from tests.unit.alerting import WakeEvent
from tests.unit.conftest import NOW, TABLE, TABLE_TEXT, Clock
from tests.unit.reminding import Desk, waiting_letter

LETTERS = 3
RIGHT = ""
LOOKS = (
    (0, RIGHT),
    (9, "ahead"),
    (-9, "back"),
    (1, RIGHT),
    (2, RIGHT),
    (4, RIGHT),
    (6, RIGHT),
    (7, RIGHT),
    (8, RIGHT),
    (40, RIGHT),
)
"""At these days after the letters came it is looked what is due; a word says what is wrong with the
clock."""
FIRST = NOW + timedelta(days=2)
EXPECTED = {
    "kari@example.no": FIRST,
    "ola@example.no": FIRST,
    "leder@example.no": FIRST + timedelta(days=4),
    "sist@example.no": FIRST + timedelta(days=6),
}
"""Who is told, and when at the earliest: over a weekend, the steps are four and two days apart."""


@dataclass
class Server(WakeEvent):
    """A mail server that writes down what it accepts, so that it survives the kill."""

    log: Path = Path()
    clock: Clock = field(default_factory=Clock)

    def notify(self, notification: Notification) -> None:
        """Accept a mail, unless the server is down."""
        if error := next(self.deaf, None):
            raise error
        with self.log.open("a", encoding="utf-8") as file:
            told = (notification.to[0], str(notification.id), self.clock().isoformat())
            file.write(f"{json.dumps(told)}\n")


def main() -> int:
    """Sweep, print what was found, and return 1 if something was wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("every", type=int, nargs="?", default=1)
    parser.add_argument("--report", type=Path, help="write the result into this page")
    options, began = parser.parse_args(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        faults, points = sweep(Path(folder), options.every)
    print(f"{points} points struck, {len(faults)} faults")
    for fault in faults:
        print(f"- {fault}")
    if options.report:
        text = _table(points, len(faults), time.monotonic() - began)
        write_section(options.report, "ladder-sweep", text)
    return 1 if faults else 0


def _table(points: int, faults: int, seconds: float) -> str:
    where = (
        f"{datetime.now(UTC):%Y-%m-%d}, Linux {platform.release()}, Python "
        f"{platform.python_version()}; {seconds:.0f} seconds."
    )
    people = len(EXPECTED)
    lines = ("| points | letters | people | wrong |", "|---:|---:|---:|---:|")
    return "\n".join((where, "", *lines, f"| {points} | {LETTERS} | {people} | {faults} |"))


def sweep(folder: Path, every: int = 1) -> tuple[list[str], int]:
    """Strike every point, or every so many; return what was wrong, and how many were struck."""
    faults: list[str] = []
    first = folder / "new.db"
    store = Store(f"sqlite:///{first}")
    store.letters.note_table(TABLE.version, TABLE_TEXT, NOW)
    store.letters.add([waiting_letter(str(number)) for number in range(LETTERS)])
    store.close()
    count, point = -1, 1 - every
    while True:
        count, point = count + 1, point + every
        place = folder / str(point)
        place.mkdir()
        shutil.copy(first, place / "postmottak.db")
        struck = _in_child(lambda at=point, place=place: climb(place, kill_at=at))  # type: ignore[misc]
        if _in_child(lambda place=place: climb(place)):  # type: ignore[misc]
            faults.append(f"point {point}: the run after it failed")
        faults += [f"point {point}: {each}" for each in judged(place / "mails")]
        if not struck:
            return faults, count


def _in_child(work: Callable[[], None]) -> bool:
    """Run in a child process; return whether it ended otherwise than well."""
    child = os.fork()
    if not child:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  # a child must not go on as the parent
            print(f"child: {error!r}", file=sys.stderr)
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] != 0


def climb(place: Path, kill_at: int = 0) -> None:
    """Climb the whole ladder, unless killed."""
    if kill_at:
        _arm(kill_at)
    store, clock = Store(f"sqlite:///{place / 'postmottak.db'}"), Clock()
    server = Server("mail", log=place / "mails", clock=clock)
    desk = Desk(store, clock, server)
    for days, doubt in LOOKS:
        clock.now = NOW + timedelta(days=days)
        desk.doubts = {doubt: doubt} if doubt else {}
        server.deaf = iter([TemporaryFailure("the server is down")] if days in {2, 6} else [])
        for _ in range(2):
            desk.look()
            clock.advance(hours=2)
    store.close()


def _arm(kill_at: int) -> None:
    """Kill this process before or after the nth call of what stores or sends."""
    reached = 0

    def strike() -> None:
        nonlocal reached
        reached += 1
        if reached == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    for holder, name in (
        (Awaited, "keep"),
        (Awaited, "told"),
        (Awaited, "put_off"),
        (Server, "notify"),
    ):
        setattr(holder, name, _struck(getattr(holder, name), strike))


def _struck(call: Callable[..., object], strike: Callable[[], None]) -> Callable[..., object]:
    def struck(*arguments: object) -> object:
        strike()
        result = call(*arguments)
        strike()
        return result

    return struck


def judged(log: Path) -> list[str]:
    """Return what is wrong with the mails that the server accepted."""
    mails = [json.loads(line) for line in log.read_text().splitlines()]
    ids: dict[str, Counter[str]] = {}
    faults = []
    for address, key, moment in mails:
        ids.setdefault(address, Counter())[key] += 1
        if address not in EXPECTED or datetime.fromisoformat(moment) < EXPECTED[address]:
            faults.append(f"{address} was told early, at {moment}")
    for address in EXPECTED:
        found = ids.get(address, Counter())
        if len(found) != 1:
            faults.append(f"{address} got {len(found)} different mails")
        if max(found.values(), default=0) > 2:
            faults.append(f"{address} got the same mail more than twice")
    return faults


if __name__ == "__main__":
    sys.exit(main())
