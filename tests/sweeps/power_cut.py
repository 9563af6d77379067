"""Cuts the power under the service: a file system of its own is shut down without writing anything
more, and mounted again.

`power_cut.py [--cuts N] [--seed S] [--kind ext4|xfs] [--report FILE]`; needs root, loop devices,
and mkfs for each kind.

The store, the content and the drop lie on the file system; letters come from a simulated Altinn
outside of it. Whatever Altinn, the mail sink, the webhook sink or the log were told before the cut
must be there when the file system is mounted again.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import platform
import random
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.journeys.conftest import Begin, Journey, kill
from tests.sweeps import aftermath
from tests.sweeps.report import write_section

KINDS = ("ext4", "xfs")
_SHUT_DOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN: _IOR('X', 125, __u32)
_WITHOUT_FLUSH = 2  # ..._NOLOGFLUSH
_SIZE = 400 << 20  # XFS wants 300 MiB at least
_LETTERS = 26
_REQUESTS = 130  # about as many as a run makes of Altinn
_ALONE = "POSTMOTTAK_POWER_CUT_ALONE"
_IN_FLIGHT = 64  # deliveries that can be attempted and not recorded when the power goes
_MAKE = {"ext4": ["mkfs.ext4", "-q", "-F"], "xfs": ["mkfs.xfs", "-q", "-f"]}


class Disk:
    """An image with a file system, mounted by a loop device."""

    def __init__(self, kind: str, image: Path, place: Path) -> None:
        self.place = place
        self._image = image
        with image.open("wb") as file:
            file.truncate(_SIZE)
        place.mkdir()
        subprocess.run([*_MAKE[kind], str(image)], check=True)
        self.mount()

    def mount(self) -> None:
        """Mount it; the file system repairs itself from its journal."""
        subprocess.run(["mount", "-o", "loop", str(self._image), str(self.place)], check=True)

    def unmount(self) -> None:
        """Unmount it; nobody may have a file open there."""
        subprocess.run(["umount", str(self.place)], check=True)

    def cut(self) -> None:
        """From now on nothing reaches the disk, not even what is on its way."""
        descriptor = os.open(self.place, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _SHUT_DOWN, struct.pack("I", _WITHOUT_FLUSH))
        finally:
            os.close(descriptor)


@contextmanager
def _disk(kind: str, folder: Path) -> Iterator[Disk]:
    disk = Disk(kind, folder / "image", folder / "disk")
    try:
        yield disk
    finally:
        disk.unmount()


def one_cut(kind: str, seed: int) -> list[str]:
    """One installation, one cut, one run afterwards; what was wrong."""
    chance = random.Random(seed)
    with (
        tempfile.TemporaryDirectory(prefix="power-cut-") as name,
        _disk(kind, Path(name)) as disk,
        Begin(
            disk.place / "post", mailbox='mark_read = "stored"\n', routing=aftermath.ROUTING
        ) as journey,
    ):
        published = journey.publish(_LETTERS)
        log = Path(name) / "log"
        os.sync()  # the configuration was written long before
        _run_until_cut(journey, disk, chance, log)
        disk.unmount()
        disk.mount()
        faults = list(_lost(journey, log))
        after = journey.poll()
        if after.code:
            faults.append(
                f"the run afterwards ended with {after.code}: {after.errors.splitlines()[-1:]}"
            )
        return [*faults, *aftermath.faults(journey, published, most_repeats=_IN_FLIGHT)]


def _run_until_cut(journey: Journey, disk: Disk, chance: random.Random, log: Path) -> None:
    """Let the service work until it has made so many requests, and a moment more, or has had its
    time."""
    wanted, moment = chance.randrange(1, _REQUESTS), chance.random() / 2
    with log.open("w") as errors:
        process = journey.start("run", errors=errors)
        journey.altinn.wait_for(lambda: journey.altinn.count() >= wanted, timeout=20)
        if chance.random() < 2 / 3:  # some cuts come later, while letters are handed on
            journey.webhook.wait_for(chance.randrange(1, _LETTERS), timeout=10)
        time.sleep(moment)
        disk.cut()
        kill(process)


def _lost(journey: Journey, log: Path) -> Iterator[str]:
    """What somebody was told of before the cut, and is not there after it; and drops that are not
    whole."""
    states = aftermath.delivery_states(journey)
    known = {key for key, _, _ in states}
    hooks, mails = aftermath.taken(journey)
    if (set(hooks) | set(mails)) - known:
        yield "a sink has a letter that the database does not"
    told = {
        line.split(" delivery='")[1][:36]
        for line in log.read_text().splitlines()
        if "outcome='delivered'" in line
    }
    if told - {key for key, _, state in states if state == "delivered"}:
        yield "the log told of a delivery that the database does not"
    read = {call.path.split("/")[-2] for call in journey.altinn.calls("markasread")}
    if read - aftermath.stored(journey):
        yield "a sender was told Read of a letter that is not stored"
    for drop in journey.whole_drops():
        yield from aftermath.not_whole(drop)
    yield from aftermath.told_too_early(journey)


def main() -> int:
    """Cut, print a line for each kind, and fail if anything was wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cuts", type=int, default=25, help="for each kind of file system")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 20))
    parser.add_argument("--kind", choices=KINDS, action="append")
    parser.add_argument("--report", type=Path, help="write the result into this page")
    options = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("only root may mount and shut down file systems")
    _be_alone()
    lines, wrong = [], 0
    for kind in options.kind or KINDS:
        bad = _cuts(kind, options.seed, options.cuts)
        wrong += bad
        lines.append(f"| {kind} | {options.cuts} | {options.seed} | {bad} |")
    text = _result(lines)
    print(text)  # a report
    if options.report:
        write_section(options.report, "power-cut", text)
    return 1 if wrong else 0


def _be_alone() -> None:
    """Begin again with mounts of our own: a copy in somebody else's namespace would keep the file
    system alive over the cut."""
    if _ALONE not in os.environ:
        os.execvpe(
            "unshare",
            ["unshare", "--mount", sys.executable, *sys.argv],
            {**os.environ, _ALONE: "1"},
        )


def _cuts(kind: str, seed: int, number: int) -> int:
    wrong = 0
    for cut in range(number):
        faults = one_cut(kind, seed + cut)
        wrong += bool(faults)
        print(
            f"{kind}, seed {seed + cut}: {'; '.join(faults) or 'nothing lost'}", flush=True
        )  # a report
    return wrong


def _result(lines: Sequence[str]) -> str:
    head = (
        f"{datetime.now(UTC):%Y-%m-%d}, Linux {platform.release()}, Python "
        f"{platform.python_version()}."
    )
    return "\n".join(
        [head, "", "| file system | cuts | first seed | wrong |", "|---|---:|---:|---:|", *lines]
    )


if __name__ == "__main__":
    sys.exit(main())
