"""Whole journeys: the command line as a child process, against the sandbox on loopback.

`POSTMOTTAK` names the command to run, for the journeys against an installed wheel; without it the
checkout is run.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, TextIO

import pytest

from connectors.sandbox.altinn3.server import FakeAltinn
from connectors.sandbox.samples import letters as sample_letters
from connectors.sandbox.setup import WEBHOOK_SECRET, Scene, prepare
from connectors.sandbox.sinks.mail import MailSink
from connectors.sandbox.sinks.webhook import WebhookSink
from tests.processes.ended import Ended
from tests.processes.warm import ROOT, Warm

_INSTALLED = os.environ.get("POSTMOTTAK")
PYTHON = str(Path(_INSTALLED).with_name("python")) if _INSTALLED else sys.executable
"""Whose Postmottak is run."""

MEASURED = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print(f"\\n{1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss}", file=sys.stderr)
sys.exit(code)
"""
"""Runs a command, and prints its peak memory in bytes as the last line of its errors."""


@cache
def warm_process(python: str) -> Warm:
    """Most commands are forks of one process, for Python's start takes longer than what most of
    them do."""
    warm = Warm(python=python)
    atexit.register(warm.close)
    return warm


@dataclass(frozen=True, kw_only=True)
class Journey:
    """One installation with its own simulated Altinn, mail sink and webhook sink."""

    altinn: FakeAltinn
    mail: MailSink
    webhook: WebhookSink
    scene: Scene
    checkout: bool = False
    """Run the checkout even where a wheel is installed: for what needs an extra, which the wheel's
    environment is without."""

    @property
    def _python(self) -> str:
        return sys.executable if self.checkout else PYTHON

    def start(
        self,
        *arguments: str,
        output: int | TextIO = subprocess.PIPE,
        errors: int | TextIO = subprocess.PIPE,
    ) -> subprocess.Popen[str]:
        """Start a command, as its users do."""
        return subprocess.Popen(
            self._command(*arguments),
            stdout=output,
            stderr=errors,
            text=True,
            env=self._environment(),
            cwd=self.scene.folder,
        )

    def _command(self, *arguments: str) -> list[str]:
        program = "import postmottak; postmottak.main()"
        return [self._python, "-c", program, "-c", str(self.scene.configuration), *arguments]

    def _environment(self) -> dict[str, str]:
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        if self._python == sys.executable:
            environment["PYTHONPATH"] = str(ROOT)
        return environment

    def run(self, *arguments: str, crash: str = "") -> Ended:
        """Run a command to its end; with `crash`, it kills itself at that point (see
        crash_at.py)."""
        warm = warm_process(self._python)
        try:
            return warm.run(self.scene.configuration, *arguments, crash=crash)
        except BaseException:
            # the command may still run: others must not get its end for theirs
            warm_process.cache_clear()
            atexit.unregister(warm.close)
            warm.close()
            raise

    def measure(self, *arguments: str) -> tuple[Ended, int]:
        """Run a command to its end; with the most memory that it had, in bytes.

        A small process starts it. Linux counts the memory of the one who starts a process as the
        process's own (`exec_mmap` in fs/exec.c), and a worker of these tests has hundreds of
        megabytes after some tests in a browser.
        """
        launcher = [sys.executable, "-I", "-S", "-c", MEASURED, *self._command(*arguments)]
        ended = subprocess.run(
            launcher,
            capture_output=True,
            text=True,
            env=self._environment(),
            cwd=self.scene.folder,
            check=False,
        )
        errors, _, most = ended.stderr.rstrip().rpartition("\n")
        return Ended(code=ended.returncode, output=ended.stdout, errors=errors), int(most)

    def poll(self) -> Ended:
        return self.run("poll", "--json")

    def publish(self, number: int) -> list[str]:
        """Publish sample letters; the ids of those that are not confidential."""
        samples = sample_letters(number, party=self.scene.party, now=datetime.now(UTC))
        return [
            letter_id
            for letter in samples
            if (letter_id := self.altinn.publish(letter)) and not letter.is_confidential
        ]

    def metrics(self, port: int) -> str:
        """What the running service tells monitors, as soon as it listens there."""
        told: list[str] = []

        def asked() -> bool:
            with (
                suppress(OSError),
                urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer,
            ):
                told.append(answer.read().decode())
            return bool(told)

        assert self.altinn.wait_for(asked, timeout=30)
        return told[0]

    def drops(self) -> list[Path]:
        """Everything in the drop, temporaries included."""
        return sorted(self.scene.drop.iterdir())

    def whole_drops(self) -> list[Path]:
        """The letters that are under their final names."""
        return [drop for drop in self.drops() if not drop.name.startswith(".")]

    def dropped_ids(self) -> list[str]:
        """The Altinn id of each dropped letter."""
        return sorted(
            json.loads((drop / "message.json").read_text())["source"]["id"]
            for drop in self.whole_drops()
        )


class Begin:
    """Begin a journey in a folder; `mailbox` and `routing` change its configuration."""

    def __init__(self, folder: Path, *, mailbox: str = "", **routing: str) -> None:
        self._folder, self._mailbox, self._routing = folder, mailbox, routing
        self._parts: list[Any] = []

    def __enter__(self) -> Journey:
        altinn = self._enter(FakeAltinn())
        mail = self._enter(MailSink())
        webhook = self._enter(WebhookSink(secret=WEBHOOK_SECRET))
        scene = Scene(folder=self._folder, mail_port=mail.port, webhook_url=webhook.url)
        prepare(altinn, scene, mailbox=self._mailbox, **self._routing)
        return Journey(altinn=altinn, mail=mail, webhook=webhook, scene=scene)

    def _enter(self, part: Any) -> Any:
        self._parts.append(part)
        return part.__enter__()

    def __exit__(self, *error: object) -> None:
        for part in reversed(self._parts):
            part.__exit__(None, None, None)


@pytest.fixture
def journey(tmp_path: Path) -> Iterator[Journey]:
    """A journey with the sandbox's own configuration."""
    with Begin(tmp_path) as found:
        yield found


@pytest.fixture
def begun(tmp_path: Path) -> Callable[..., Begin]:
    """Begin a journey with your own configuration: `with begun(mailbox='...') as journey:`."""
    return lambda **settings: Begin(tmp_path, **settings)


def kill(process: subprocess.Popen[str]) -> None:
    """Kill it as `kill -9` does, and wait for its end."""
    process.send_signal(signal.SIGKILL)
    process.communicate()


def fork_server_of(process: subprocess.Popen[str]) -> int:
    """The fork server of a service that runs: its only child."""
    (child,) = _children(process.pid)
    return child


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    """The worker processes of a service that runs: the fork server's children."""
    return _children(fork_server_of(process))


def _children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(each) for each in found]
