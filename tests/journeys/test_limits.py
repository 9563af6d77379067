"""What the machine around refuses: a log that cannot be written, output that nobody takes, folders
that cannot be watched.

Letters go on.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from connectors.sandbox.samples import letters as sample_letters
from tests.journeys.conftest import Begin, Journey
from tests.processes.warm import ROOT

SOON = 60  # seconds; on a busy machine a start alone may take ten


@contextmanager
def ends_well(process: subprocess.Popen[str]) -> Iterator[None]:
    """What must hold while the process runs; after that it ends when it is told to, with 0."""
    try:
        yield
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=SOON) == 0
    finally:
        process.kill()
        process.communicate()


def alerts(journey: Journey) -> set[str]:
    """Kinds of what `status` tells now."""
    return {each["kind"] for each in journey.run("status", "--json").json["troubles"]}


def _full() -> int:
    return os.open("/dev/full", os.O_WRONLY)


def _without_reader() -> int:
    reading, writing = os.pipe()
    os.close(reading)
    return writing


def _with_a_reader_that_hangs() -> int:
    reading, writing = os.pipe()
    os.set_inheritable(reading, True)
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.write(writing, b"x" * 4096)
    return writing  # the reading end stays open, in this process, until that ends


def _published_in_two_halves(journey: Journey) -> list[str]:
    """The second half is published when the first has arrived; the ids of all."""
    samples = [
        each
        for each in sample_letters(13, party=journey.scene.party, now=datetime.now(UTC))
        if not each.is_confidential
    ]
    letters: list[str] = []
    for half in (samples[:5], samples[5:]):
        letters += [journey.altinn.publish(letter) for letter in half]
        assert _arrived(journey, len(letters))
    return letters


def _arrived(journey: Journey, count: int) -> bool:
    return journey.altinn.wait_for(lambda: len(journey.whole_drops()) == count, timeout=SOON)


@pytest.mark.parametrize("log", [_full, _without_reader, _with_a_reader_that_hangs])
def test_a_log_that_cannot_be_written(begun: Callable[..., Begin], log: Callable[[], int]) -> None:
    """On a full disk, and where its reader has gone or hangs, the service delivers, says in
    `status` what is wrong, and ends well."""
    with begun(mailbox='poll_every = "1s"\n') as journey, os.fdopen(log(), "w") as errors:
        process = journey.start("run", errors=errors)
        with ends_well(process):
            letters = _published_in_two_halves(journey)
            assert "log" in alerts(journey)
        assert journey.dropped_ids() == sorted(letters)


_NOTHING_TO_WATCH = """\
echo 0 > /proc/sys/user/max_inotify_instances
exec "$@"
"""


def _without_inotify(journey: Journey) -> subprocess.Popen[str]:
    """The service in a user namespace that has no inotify instance (namespaces(7): the limit is the
    namespace's own)."""
    inside = ["unshare", "--user", "--map-root-user", "sh", "-c", _NOTHING_TO_WATCH, "sh"]
    if subprocess.run([*inside, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine allows no user namespaces")
    command = [
        *inside,
        sys.executable,
        "-c",
        "import postmottak; postmottak.main()",
        "-c",
        str(journey.scene.configuration),
        "run",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    errors = (journey.scene.folder / "log.txt").open("w")
    with errors:
        return subprocess.Popen(
            command, text=True, env=environment, cwd=journey.scene.folder, stderr=errors
        )


def test_no_inotify_instance(begun: Callable[..., Begin]) -> None:
    """Where no folder can be watched, letters are delivered, an edit comes into force by looking,
    and log and `status` say so."""
    with begun(mailbox='poll_every = "1s"\n') as journey:
        with ends_well(_without_inotify(journey)):
            letters = journey.publish(13)
            assert journey.altinn.wait_for(
                lambda: len(journey.whole_drops()) == len(letters), timeout=SOON
            )
            assert "watch" in alerts(journey)
            table = journey.scene.folder / "routing.toml"
            table.write_text(table.read_text() + "\n# another version\n")
            log = journey.scene.folder / "log.txt"
            assert journey.altinn.wait_for(
                lambda: "an edit is in force" in log.read_text(), timeout=SOON
            )
        assert "changes in a folder are noticed late only" in log.read_text()
        assert "Traceback" not in log.read_text()
        assert journey.dropped_ids() == sorted(letters)
    assert journey.poll().code in {0, 3, 4}  # Altinn is gone by now
    assert "watch" not in alerts(journey)  # nobody watches now, so nothing is wrong with it


def _printed(journey: Journey, *arguments: str, output: int) -> tuple[int, str]:
    """How a command ends that prints there."""
    with os.fdopen(output, "w") as out:
        process = journey.start(*arguments, output=out)
        _, errors = process.communicate(timeout=SOON)
    return process.returncode, errors


@pytest.mark.parametrize(
    "arguments",
    [("status",), ("status", "--json"), ("messages", "list"), ("services",), ("poll", "--json")],
)
def test_output_that_nobody_takes(
    journey: Journey, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command whose output cannot be written ends with one line and a code that is not success;
    one whose reader has gone, with 141."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    journey.publish(5)
    journey.poll()
    assert _printed(journey, *arguments, output=_full()) == (
        4,
        "the output cannot be written: no space left on device\n",
    )
    code, errors = _printed(journey, *arguments, output=_without_reader())
    assert (code, "Traceback" in errors, "Exception ignored" in errors) == (141, False, False)


def test_words_that_nobody_reads(journey: Journey) -> None:
    """A fault that cannot be told, for stderr cannot be written, has its exit code all the same."""
    journey.scene.configuration.write_text("nonsense")
    with os.fdopen(_full(), "w") as errors, journey.start("status", errors=errors) as process:
        process.communicate(timeout=SOON)
    assert process.returncode == 1


def test_streams_that_are_closed(journey: Journey) -> None:
    """A command that was started without stdin, stdout and stderr writes nothing into whatever file
    it opens first."""
    journey.publish(5)
    words = "import postmottak; postmottak.main()"
    command = (
        f'exec "{sys.executable}" -c "{words}" -c "{journey.scene.configuration}" poll --json <&- '
        ">&- 2>&-"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        ["sh", "-c", command], env=environment, cwd=journey.scene.folder, timeout=60, check=False
    )
    assert ended.returncode in {0, 3}
    assert json.loads(journey.run("status", "--json").output)["messages"] > 0
    assert journey.run("db", "check").code == 0
