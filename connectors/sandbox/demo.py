"""`postmottak demo`: sample letters through the real service, and a report of where they went.

They go to a folder, an e-mail and a webhook. The service runs as a process of its own, with the
ordinary command line; the demo only watches.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from connectors.sandbox.altinn3.server import FakeAltinn
from connectors.sandbox.letters import PretendLetter
from connectors.sandbox.samples import letters as sample_letters
from connectors.sandbox.setup import WEBHOOK_SECRET, Scene, prepare
from connectors.sandbox.sinks.mail import MailSink
from connectors.sandbox.sinks.webhook import WebhookSink
from daemon.core.dpv import CONFIDENTIAL_POST, find_service

_PAGE = 140  # characters in a line where there is no terminal
_LOOK = 0.1  # seconds between looks at what has been done


def run(*, letters: int, keep: bool) -> int:
    """Run the demo.

    Returns the exit code: 0 if every letter that may be fetched was delivered.
    """
    console = Console() if sys.stdout.isatty() else Console(width=_PAGE)
    with _folder(keep=keep) as folder:
        mails, hooks = folder / "mail", folder / "webhook"
        with (
            FakeAltinn() as altinn,
            MailSink(folder=mails) as mail,
            WebhookSink(secret=WEBHOOK_SECRET, folder=hooks) as webhook,
        ):
            scene = Scene(folder=folder, mail_port=mail.port, webhook_url=webhook.url)
            prepare(altinn, scene)
            published = sample_letters(letters, party=scene.party, now=datetime.now(UTC))
            for letter in published:
                altinn.publish(letter)
            console.print(
                f"A simulated Altinn holds {letters} letters for {scene.party}. One poll of the "
                "real service fetches and delivers them."
            )
            code, summary = _poll(console, altinn, scene, published)
            if code != 0:
                return code
            console.print(_account(scene))
            _tell(console, summary, scene, len(mail.mails), len(webhook.taken))
        console.print(
            f"The folder is {folder}"
            if keep
            else "The folder is removed now; keep it with: postmottak demo --keep"
        )
    return code


@contextlib.contextmanager
def _folder(*, keep: bool) -> Iterator[Path]:
    if keep:
        yield Path(tempfile.mkdtemp(prefix="postmottak-demo-"))
    else:
        with tempfile.TemporaryDirectory(prefix="postmottak-demo-") as name:
            yield Path(name)


def _poll(
    console: Console, altinn: FakeAltinn, scene: Scene, published: tuple[PretendLetter, ...]
) -> tuple[int, dict[str, Any]]:
    """Run one `poll` in a process of its own, showing progress.

    The progress is counted at the simulated Altinn and in the drop.
    """
    ordinary = [letter for letter in published if not letter.is_confidential]
    progress = Progress(
        TextColumn("{task.description:12}"), BarColumn(), MofNCompleteColumn(), console=console
    )
    bars = {name: progress.add_task(name, total=len(ordinary)) for name in ("fetched", "dropped")}
    process = _start(scene, "poll", "--json")
    with Live(progress, console=console, refresh_per_second=10):
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                output, errors = process.communicate(timeout=_LOOK)
                break
            _show(progress, bars, altinn, scene)
        _show(progress, bars, altinn, scene)
    if process.returncode != 0:
        console.print(Text(errors.decode()))
    return process.returncode, json.loads(output or b"{}")


def _show(progress: Progress, bars: dict[str, TaskID], altinn: FakeAltinn, scene: Scene) -> None:
    progress.update(bars["fetched"], completed=altinn.count("overview"))
    progress.update(
        bars["dropped"],
        completed=sum(not entry.name.startswith(".") for entry in os.scandir(scene.drop)),
    )


def _start(scene: Scene, *arguments: str) -> subprocess.Popen[bytes]:
    """Start the command line as an operator would, however it was installed."""
    command = [
        sys.executable,
        "-c",
        "import postmottak; postmottak.main()",
        "-c",
        str(scene.configuration),
        *arguments,
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(  # noqa: S603
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )  # our own command


def _account(scene: Scene) -> Table:
    """Print where the letters went, from the service's own list of messages."""
    output, _ = _start(scene, "messages", "list", "--limit", "1000", "--json").communicate()
    table = Table(
        "letter",
        "service",
        "sender",
        "route",
        "destination",
        "outcome",
        title="What went where",
        box=None,
        pad_edge=False,
        leading=1,
    )
    for message in sorted(
        json.loads(output), key=lambda each: int(each["service"].partition("/")[2])
    ):
        service = find_service(message["service"])
        outcomes = message["deliveries"]
        table.add_row(
            Text(message["title"]),
            f"{message['service']} {service.nb if service else ''}",
            Text(f"{message['sender_name']} ({message['sender_org']})"),
            message["route"],
            "\n".join(outcomes),
            "\n".join(outcomes.values()),
        )
    return table


def _tell(console: Console, summary: dict[str, Any], scene: Scene, mails: int, hooks: int) -> None:
    drops = sorted(entry.name for entry in scene.drop.iterdir())
    console.print(
        f"{summary.get('stored', 0)} letters stored, {summary.get('delivered', 0)} deliveries "
        f"made, {mails} e-mails, {hooks} webhook calls."
    )
    if summary.get("waiting"):
        waiting = f"{summary['waiting']} confidential ({CONFIDENTIAL_POST.code}) listed only"
        console.print(f"{waiting}: not opened; `postmottak status` shows that it waits.")
    if drops:
        console.print(f"Dropped folders are in {scene.drop}, such as {drops[0]}", soft_wrap=True)
