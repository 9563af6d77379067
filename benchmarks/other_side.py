"""The pretend Altinn as a separate process, so that its work is not counted as the service's.

It still shares the machine. Run as `python -m benchmarks.other_side FOLDER LETTERS SIZE LATENCY
PARTIES TROUBLE`; writes a scene into FOLDER, prints a line when it is ready, and serves until its
standard input ends.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.routing import organisation
from benchmarks.trouble import make_trouble
from connectors.sandbox.altinn3.server import FakeAltinn
from connectors.sandbox.letters import PretendAttachment, PretendLetter
from connectors.sandbox.samples import sandbox_resources
from connectors.sandbox.setup import Scene, prepare

_BODY = "Hei\n\nSe vedlagt vedtak.\n"
TOKEN_LASTS = timedelta(hours=6)
_SMALL = 1 << 20  # bytes; larger contents are generated while they are sent


@contextmanager
def other_side(
    folder: Path,
    *,
    letters: int,
    size: int,
    latency: float = 0.0,
    parties: int = 1,
    trouble: str = "",
) -> Iterator[Path]:
    """Serve `letters` letters, each with an attachment of `size` bytes, until the block ends.

    `latency` is in seconds for each call; `trouble` is one of benchmarks/trouble.py. Yields the
    folder with the key, the configuration and the routing table.
    """
    arguments = [str(folder), str(letters), str(size), str(latency), str(parties), trouble]
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


def made_up_contents(count: int, size: int) -> Iterator[bytes]:
    """Yield `count` contents of `size` bytes: the same each time, and no two alike."""
    chance = random.Random(count)  # noqa: S311
    for _ in range(count):
        yield chance.randbytes(size)


def letters_of(
    contents: Iterable[bytes | int], party: str, now: datetime
) -> Iterator[PretendLetter]:
    """Yield a letter for each content, which is its attachment: the newest a minute before `now`.

    A number is a size: such a content is generated while it is sent.
    """
    resources = list(sandbox_resources(confidential=False).values())
    for number, content in enumerate(contents):
        attachment = PretendAttachment(
            name="Vedtak.pdf",
            content=content if isinstance(content, bytes) else b"",
            size=content if isinstance(content, int) else None,
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
        altinn.exchange.lifetime = TOKEN_LASTS
        client = prepare(altinn, scene)
        _several_parties(altinn, client.client_id, scene, parties)
        (scene.folder / "token").write_text(
            altinn.token(client.client_id, scene.party), encoding="utf-8"
        )
        contents = made_up_contents(letters, size) if size <= _SMALL else [size] * letters
        for letter in letters_of(contents, scene.party, datetime.now(UTC)):
            altinn.publish(letter)
        make_trouble(altinn, scene, arguments[4])
        altinn.latency = float(arguments[2])
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2:])
