"""`postmottak sandbox`: the pretend Altinn by itself, for integrators who want to try their configuration or their own program."""

from __future__ import annotations

import signal
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

from connectors.sandbox.altinn import PretendAltinn
from connectors.sandbox.samples import letters as sample_letters
from connectors.sandbox.scene import Scene, prepare


def run(*, port: int, letters: int, folder: Path) -> None:
    """Serve until SIGINT or SIGTERM. `folder` gets a key and a configuration that work against it."""
    ended = threading.Event()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, lambda *_: ended.set())
    with PretendAltinn(port=port) as altinn:
        scene = Scene(folder=folder.absolute())
        prepare(altinn, scene)
        for letter in sample_letters(letters, party=scene.party, now=datetime.now(UTC)):
            altinn.publish(letter)
        sys.stdout.write(
            f"A pretend Altinn with {letters} letters for {scene.party} is at {altinn.platform_url}\n"
            f"Maskinporten is at {altinn.maskinporten_url}\n"
            f"Try it from another terminal: postmottak -c {scene.configuration} poll\n"
            "End it with Ctrl-C.\n"
        )
        sys.stdout.flush()
        ended.wait()
