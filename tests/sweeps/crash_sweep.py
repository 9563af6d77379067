"""Kills the service at every system call that matters, and looks whether one poll afterwards puts everything right.

`python tests/sweeps/crash_sweep.py [--every K] [--error EIO|ENOSPC]`; needs strace. One run fetches three letters and delivers them to a
file drop, a mail sink and a webhook sink. strace counts calls for each thread, so the Nth call of a kind is the Nth of whichever
thread reaches it first; N goes up until a run ends by itself. With `--error` the call fails instead of the process being killed.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from connectors.sandbox.samples import letters as sample_letters  # noqa: E402  # the checkout is on the path now
from tests.journeys.conftest import Begin, Journey  # noqa: E402  # likewise

CALLS = {
    "write": "write,pwrite64,writev",
    "sync": "fsync,fdatasync",
    "rename": "rename,renameat,renameat2,link,linkat,unlink,unlinkat,ftruncate",
    "connect": "connect",
    "send": "sendto,sendmsg",
}
ROUTING = """\
[[recipient]]
name = "post"
deliver_to = ["mappe", "epost", "webhook"]

[[route]]
name = "Alt"
to = ["post"]
"""
FATAL = 4


@dataclass(frozen=True, kw_only=True)
class Result:
    """One run with its fault, and the run after it."""

    struck: bool
    faults: list[str]
    repeats: int


def main() -> int:
    """Sweep, print a line for each kind of call, and fail if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="try only each Kth call")
    parser.add_argument("--error", choices=["EIO", "ENOSPC"], help="let the call fail instead of killing the process")
    parser.add_argument("--calls", choices=CALLS, action="append", help="only these kinds of call")
    options = parser.parse_args()
    wrong = 0
    for kind in options.calls or CALLS:
        results = list(_sweep(kind, options.every, options.error))
        struck = [result for result in results if result.struck]
        faults = [fault for result in struck for fault in result.faults]
        wrong += len(faults)
        print(f"{kind}: {len(struck)} runs struck, {len(faults)} faults, {sum(result.repeats for result in struck)} repeats", flush=True)
        for fault in faults:
            print(f"  {fault}", flush=True)
    return 1 if wrong else 0


def _sweep(kind: str, every: int, error: str | None) -> Iterator[Result]:
    number = 1
    while True:
        result = _try(kind, number, error)
        yield result
        if not result.struck:
            return
        number += every


def _try(kind: str, number: int, error: str | None) -> Result:
    with tempfile.TemporaryDirectory() as folder, Begin(Path(folder), routing=ROUTING) as journey:
        letters = [letter for letter in sample_letters(4, party=journey.scene.party, now=datetime.now(UTC)) if not letter.is_confidential][
            :3
        ]
        published = sorted(journey.altinn.publish(letter) for letter in letters)
        what = f"error={error}" if error else "signal=KILL"
        first = _traced_poll(journey, f"{CALLS[kind]}:{what}:when={number}")
        struck = first.returncode == -9 if error is None else "INJECTED" in _trace(journey)
        faults = [f"{kind} {number}: {fault}" for fault in _faults_of_first(journey, first, error)]
        _make_due(journey)
        after = journey.poll()
        faults += [f"{kind} {number}: {fault}" for fault in _faults(journey, published, after.code)]
        return Result(struck=struck, faults=faults, repeats=_repeats(journey))


def _traced_poll(journey: Journey, inject: str) -> subprocess.CompletedProcess[str]:
    command = ["strace", "-f", "-qq", "-o", str(journey.scene.folder / "trace"), "-e", f"trace={inject.partition(':')[0]}"]
    program = [sys.executable, "-c", "import postmottak; postmottak.main()", "-c", str(journey.scene.configuration), "poll", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [*command, "-e", f"inject={inject}", *program], capture_output=True, text=True, check=False, env=environment, timeout=120
    )


def _trace(journey: Journey) -> str:
    return (journey.scene.folder / "trace").read_text(errors="replace")


def _faults_of_first(journey: Journey, first: subprocess.CompletedProcess[str], error: str | None) -> Iterator[str]:
    """A failing call must not end in a traceback of ours, nor in a delivery that is told and was not made."""
    if error and "Traceback" in first.stderr and "daemon" in first.stderr:
        yield f"ended with a traceback: {first.stderr.strip().splitlines()[-1]}"
    database = journey.scene.folder / "postmottak.db"
    if error and database.exists() and database.stat().st_size:
        with sqlite3.connect(database) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
            told = (
                connection.execute("SELECT count(*) FROM deliveries WHERE state = 'delivered' AND destination = 'mappe'")
                if "deliveries" in tables
                else None
            )
            if told and told.fetchone()[0] > len(journey.whole_drops()):
                yield "a drop is told as delivered and is not there"


def _make_due(journey: Journey) -> None:
    """Do not wait for deliveries that were deferred."""
    if (journey.scene.folder / "postmottak.db").exists():
        journey.run("deliveries", "retry", "--state", "pending")


def _faults(journey: Journey, published: list[str], code: int) -> Iterator[str]:
    if code != 0:
        yield f"the poll afterwards ended with {code}"
    if journey.dropped_ids() != published:
        yield f"{len(journey.whole_drops())} drops of {len(published)} letters"
    for drop in journey.whole_drops():
        if subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=drop, capture_output=True, check=False).returncode:
            yield f"the drop {drop.name} is not whole"
    if any(drop.name.startswith(".tmp") for drop in journey.drops()):
        yield "a temporary remains"
    deliveries = journey.run("deliveries", "list", "--json").json
    if [each["state"] for each in deliveries] != ["delivered"] * 3 * len(published):
        yield f"deliveries ended {Counter(each['state'] for each in deliveries)}"
    if {hook.id for hook in journey.webhook.taken} != {each["id"] for each in deliveries if each["destination"] == "webhook"}:
        yield "the webhook sink has other ids than the deliveries"
    if len({mail.message["Message-ID"] for mail in journey.mail.mails}) != len(published):
        yield "the mail sink has other letters than were published"
    with sqlite3.connect(journey.scene.folder / "postmottak.db") as connection:
        if connection.execute("PRAGMA integrity_check").fetchone() != ("ok",):
            yield "the database is not whole"


def _repeats(journey: Journey) -> int:
    hooks = Counter(hook.id for hook in journey.webhook.taken)
    mails = Counter(json.dumps(mail.message["Message-ID"]) for mail in journey.mail.mails)
    return hooks.total() - len(hooks) + mails.total() - len(mails)


if __name__ == "__main__":
    sys.exit(main())
