"""The pretend Altinn as a separate process, so that its work is not counted as the service's.

It still shares the machine. Run as `python -m benchmarks.other_side FOLDER LETTERS SIZE LATENCY
PARTIES`; writes a scene into FOLDER, prints a line when it is ready, and serves until its standard
input ends.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.routing import organisation
from connectors.sandbox.altinn3.server import FakeAltinn
from connectors.sandbox.letters import PretendAttachment, PretendLetter
from connectors.sandbox.samples import sandbox_resources
from connectors.sandbox.setup import Scene, prepare

_BODY = "Hei\n\nSe vedlagt vedtak.\n"
_TOKEN_LASTS = timedelta(hours=6)


@contextmanager
def other_side(
    folder: Path, *, letters: int, size: int, latency: float = 0.0, parties: int = 1
) -> Iterator[Path]:
    """Serve `letters` letters, each with an attachment of `size` bytes, until the block ends.

    `latency` is in seconds for each call. Yields the folder with the key, the configuration and the
    routing table.
    """
    arguments = [str(folder), str(letters), str(size), str(latency), str(parties)]
    command = [sys.executable, "-m", "benchmarks.other_side", *arguments]
    with subprocess.Popen(  # noqa: S603  # our own module
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdout.readline()
        try:
            yield folder
        finally:
            process.stdin.close()
            process.wait()


def _letters(count: int, size: int, party: str, now: datetime) -> Iterator[PretendLetter]:
    chance = random.Random(count)  # noqa: S311  # the same letters each time
    resources = [resource for code, resource in sandbox_resources(confidential=False).items()]
    for number in range(count):
        small = size <= 1 << 20  # larger ones are generated while they are sent
        attachment = PretendAttachment(
            name="Vedtak.pdf",
            content=chance.randbytes(size) if small else b"",
            size=None if small else size,
            display_name="Vedtak",
        )
        yield PretendLetter(
            party=party,
            resource=resources[number % len(resources)],
            title=f"Vedtak i sak 2026/{number}",
            body=_BODY,
            requested_at=now - timedelta(seconds=number + 60),
            attachments=(attachment,),
        )


def _several_parties(altinn: FakeAltinn, client_id: str, scene: Scene, count: int) -> None:
    parties = [scene.party, *(organisation(number) for number in range(count - 1))]
    for party in parties:
        altinn.allow(client_id, party, sandbox_resources().values())
    text = scene.configuration.read_text(encoding="utf-8")
    text = text.replace(
        f"parties = {json.dumps([scene.party])}", f"parties = {json.dumps(parties)}"
    )
    scene.configuration.write_text(text, encoding="utf-8")


def _main(folder: str, arguments: Sequence[str]) -> None:
    letters, size, parties = int(arguments[0]), int(arguments[1]), int(arguments[3])
    with FakeAltinn() as altinn:
        scene = Scene(folder=Path(folder).absolute())
        altinn.exchange.lifetime = _TOKEN_LASTS
        client = prepare(altinn, scene)
        _several_parties(altinn, client.client_id, scene, parties)
        (scene.folder / "token").write_text(
            altinn.token(client.client_id, scene.party), encoding="utf-8"
        )
        for letter in _letters(letters, size, scene.party, datetime.now(UTC)):
            altinn.publish(letter)
        altinn.latency = float(arguments[2])
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2:])
