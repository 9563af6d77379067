"""`postmottak demo --page`: the service and the page over sample letters, until Ctrl-C.

Both run as processes of their own, with the ordinary command line. The letters are spread over
four months, so that lists and charts look like those of a real mailbox.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from connectors.sandbox.altinn3.server import FakeAltinn
from connectors.sandbox.letters import PretendLetter
from connectors.sandbox.samples import letters as sample_letters
from connectors.sandbox.setup import WEBHOOK_SECRET, Scene, prepare
from connectors.sandbox.sinks.mail import MailSink
from connectors.sandbox.sinks.webhook import WebhookSink
from daemon.core.errors import OperatorError

_OVER = timedelta(days=120)
_STARTS_WITHIN = 60.0  # seconds
_ENDS_WITHIN = 15.0  # seconds
_USER = "demo"
_ROLES = ("reader", "receiver", "router", "operator", "admin")
_MAILBOX = """
start_from = "all"
poll_every = "10s"
"""


def run(*, letters: int, folder: Path, port: int) -> None:
    """Bring everything up, print a link that logs in, and stay until SIGINT or SIGTERM.

    Raises OperatorError if a part does not start.
    """
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    with (
        FakeAltinn() as altinn,
        MailSink(folder=folder / "mail") as mail,
        WebhookSink(secret=WEBHOOK_SECRET, folder=folder / "webhook") as webhook,
    ):
        scene = Scene(folder=folder, mail_port=mail.port, webhook_url=webhook.url)
        prepare(altinn, scene, mailbox=_MAILBOX)
        with scene.configuration.open("a", encoding="utf-8") as file:
            file.write(f'\n[web]\nlisten = "127.0.0.1:{port}"\n')
        for letter in spread(sample_letters(letters, party=scene.party, now=datetime.now(UTC))):
            altinn.publish(letter)
        with _running(scene, "run") as service:
            _until((folder / "postmottak.db").exists, service, stopping)
            with _running(scene, "web", "run") as page:
                _say_link(scene)
                while not stopping.wait(0.5):
                    for each in (service, page):
                        if each.poll() is not None:
                            raise OperatorError(_why_ended(each))


def spread(letters: Sequence[PretendLetter]) -> Iterator[PretendLetter]:
    """Yield the letters, the first published now and the last four months ago."""
    for number, letter in enumerate(letters):
        earlier = _OVER * number / max(len(letters) - 1, 1)
        yield replace(
            letter,
            **{
                name: moment - earlier
                for name in ("created_at", "requested_at", "published_at")
                if (moment := getattr(letter, name))
            },
        )


@contextlib.contextmanager
def _running(scene: Scene, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a command as an operator would, however it was installed, until the block ends."""
    log = scene.folder / f"{'-'.join(arguments)}.log"
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(  # noqa: S603  # our own command
            _command(scene, *arguments),
            stdout=file,
            stderr=file,
            text=True,
            env=_environment(),
            start_new_session=True,  # Ctrl-C reaches the demo alone, which then ends them in order
        )
    try:
        yield process
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_ENDS_WITHIN)
        process.kill()
        process.wait()


def _command(scene: Scene, *arguments: str) -> list[str]:
    start = "import postmottak; postmottak.main()"
    return [sys.executable, "-c", start, "-c", str(scene.configuration), *arguments]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def _until(
    is_there: Callable[[], bool], process: subprocess.Popen[str], stopping: threading.Event
) -> None:
    """Wait until something is there. Raises OperatorError if the process ends or it takes long."""
    latest = time.monotonic() + _STARTS_WITHIN
    while not (is_there() or stopping.is_set()):
        if process.poll() is not None or time.monotonic() > latest:
            raise OperatorError(_why_ended(process))
        time.sleep(0.1)


def _why_ended(process: subprocess.Popen[str]) -> str:
    assert isinstance(process.args, list)
    name = " ".join(str(each) for each in process.args[5:])
    return f"`postmottak {name}` has ended or did not start; run it by itself to see why"


def _say_link(scene: Scene) -> None:
    """Add a user with all roles, and print a link."""
    roles = [word for role in _ROLES for word in ("--role", role)]
    _done(scene, "web", "users", "add", _USER, *roles, "--no-password")
    link = _done(scene, "web", "login-link", _USER)
    sys.stdout.write(
        f"The page is at:\n{link}\nThe link works once, within five minutes. Stop everything with "
        "Ctrl-C.\n"
    )
    sys.stdout.flush()


def _done(scene: Scene, *arguments: str) -> str:
    """Run a command to its end; return what it printed. Raises OperatorError if it fails."""
    result = subprocess.run(  # noqa: S603  # our own command
        _command(scene, *arguments),
        capture_output=True,
        text=True,
        env=_environment(),
        check=False,
    )
    if result.returncode:
        raise OperatorError(result.stderr.strip())
    return result.stdout.strip()
