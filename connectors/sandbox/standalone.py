"""`postmottak sandbox`: the simulated Altinn by itself, for integrators.

They can try their configuration or their own program against it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import queue
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from connectors.sandbox.altinn3.access import ReadyClient
from connectors.sandbox.altinn3.server import FakeAltinn
from connectors.sandbox.letters import PretendLetter
from connectors.sandbox.samples import letters as sample_letters
from connectors.sandbox.setup import Scene, prepare, prepare_altinn2, prepare_archive
from daemon.core.errors import OperatorError


def run(*, port: int, letters: int, folder: Path) -> None:
    """Serve until SIGINT or SIGTERM.

    `folder` gets a key and a configuration for it. Raises OperatorError if the port or the folder
    cannot be used.
    """
    ended: queue.SimpleQueue[int] = (
        queue.SimpleQueue()
    )  # the only thing to wait for that a signal handler may touch
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, lambda number, _: ended.put(number))
    with _pretend_altinn(port) as altinn, contextlib.ExitStack() as more:
        scene = Scene(folder=folder.absolute())
        try:
            client = prepare(altinn, scene)
        except OSError as error:
            raise OperatorError(
                f"{folder} cannot be written: {_reason(error)}; choose another with --folder"
            ) from error
        published = sample_letters(letters, party=scene.party, now=datetime.now(UTC))
        for letter in published:
            altinn.publish(letter)
        sys.stdout.write(
            f"A simulated Altinn with {letters} letters for {scene.party} is at "
            f"{altinn.platform_url}\n"
            f"Maskinporten is at {altinn.maskinporten_url}\n"
            f"Try it from another terminal: postmottak -c {scene.configuration} poll\n"
            f"{_soap(more, altinn, client, scene, published)}"
            "Stop it with Ctrl-C.\n"
        )
        sys.stdout.flush()
        ended.get()


def _pretend_altinn(port: int) -> FakeAltinn:
    try:
        return FakeAltinn(port=port)
    except OSError as error:
        raise OperatorError(
            f"Port {port} cannot be used: {_reason(error)}; choose another with --port, or leave "
            "it out for a free one"
        ) from error


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _soap(
    more: contextlib.ExitStack,
    altinn: FakeAltinn,
    client: ReadyClient,
    scene: Scene,
    letters: Sequence[PretendLetter],
) -> str:
    """Serve the SOAP parts as well, if their library is installed; return the text to show."""
    if importlib.util.find_spec("zeep") is None:
        return (
            "With the extra `soap` installed, there are also a simulated Altinn 2 and a simulated "
            "archive; see docs/operating.md\n"
        )
    from connectors.sandbox.altinn2.server import PretendAltinn2
    from connectors.sandbox.sinks.soap import BY_NAME, SoapSink

    altinn2 = more.enter_context(PretendAltinn2())
    for letter in letters:
        altinn2.publish(letter)
    archive = more.enter_context(SoapSink(folder=scene.folder / "archive"))
    old, new = prepare_altinn2(altinn2, scene), prepare_archive(altinn, client, archive, scene)
    return (
        f"A simulated Altinn 2 with the same letters is at {altinn2.url}\n"
        f"Try it: postmottak -c {old} poll\n"
        f"A simulated archive that takes letters by SOAP is at {archive.url}\n"
        f"Try it: postmottak -c {new} poll\n"
        f"To let it fail, end the address in {new.name} with one of: "
        f"{', '.join(f'?{name}' for name in BY_NAME)}\n"
    )
