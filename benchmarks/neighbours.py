"""Measures what others cost healthy letters: a dead destination, a letter that fails, a bad list.

The same letters, to a folder, are measured alone and beside each of these, by turns in one run.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.other_side import other_side
from benchmarks.report import Figure
from benchmarks.service import READY, fresh, running
from benchmarks.trouble import ENDLESS, POISON

_LETTERS, _SIZE, _REPEATS = 2000, 5000, 3
_RATE_AT_LEAST = 0.9
_AT_MOST, _LOOK = 60.0, 0.1  # seconds
_OTHERS = "sak 2026/1"
"""In the titles of letters that go to the other destination; healthy or not, they are fetched."""
_HEALTHY = sum(_OTHERS not in f"sak 2026/{number}" for number in range(_LETTERS))
_TABLE = f"""\
recipient = [
    {{ name = "frisk", deliver_to = ["mappe"] }},
    {{ name = "annen", deliver_to = ["other"] }},
]
[[route]]
name = "Andre"
title_contains = ["{_OTHERS}"]
to = ["annen"]
[[route]]
name = "Alt annet"
to = ["frisk"]
"""
_FOLDER = '\n[destination.other]\ntype = "filedrop"\npath = "{path}"\n'
_WEBHOOK = """
[destination.other]
type = "webhook"
url = "http://127.0.0.1:{port}/"
secret_file = "webhook.secret"
"""


@dataclass(frozen=True, kw_only=True)
class _Beside:
    what: str
    trouble: str = ""
    dead: bool = False
    """Whether the other destination never answers."""


_ALL = (
    _Beside(what="a webhook that never answers", dead=True),
    _Beside(what="a letter that fails each time", trouble=POISON),
    _Beside(what="an organisation whose list is always full", trouble=ENDLESS),
)


def neighbours(folder: Path) -> Iterator[Figure]:
    """Measure the rate of healthy letters beside each of the others, and alone."""
    for place, beside in enumerate(_ALL):
        yield _figure(folder / str(place), beside)


def _figure(folder: Path, beside: _Beside) -> Figure:
    alone, troubled = [], []
    with (
        other_side(folder / "good", letters=_LETTERS, size=_SIZE, parties=2) as good,
        other_side(
            folder / "bad", letters=_LETTERS, size=_SIZE, parties=2, trouble=beside.trouble
        ) as bad,
        _dead_server() as port,
    ):
        for number in range(_REPEATS):
            alone.append(_rate(good, folder / f"alone-{number}"))
            dead = port if beside.dead else None
            troubled.append(_rate(bad, folder / f"beside-{number}", dead))
    ratio = median(troubled) / median(alone)
    return Figure(
        what=f"letters a second to a folder, 5 kB each, beside {beside.what}",
        measured=f"{median(troubled):.0f}",
        beside=f"{median(alone):.0f}: without it",
        ratio=ratio,
        wanted=f"at least {_RATE_AT_LEAST}",
        held=ratio >= _RATE_AT_LEAST,
    )


def _rate(scene: Path, folder: Path, dead: int | None = None) -> float:
    """Return the healthy letters a second, from when the service is ready to the last of them.

    If not all come in `_AT_MOST` seconds, it is those that do.
    """
    configuration = fresh(scene, folder)
    other = folder / "other"
    other.mkdir()
    section = _FOLDER.format(path=other) if dead is None else _WEBHOOK.format(port=dead)
    text = configuration.read_text(encoding="utf-8")
    text = text.replace('type = "altinn3"', 'type = "altinn3"\nbell = "off"')
    configuration.write_text(text + section, encoding="utf-8")
    (configuration.parent / "routing.toml").write_text(_TABLE, encoding="utf-8")
    with running(configuration) as service:
        service.wait_for_log(READY)
        ready = service.times(READY)[0].timestamp()
        while len(dropped := _dropped(service.drop)) < _HEALTHY and time.time() < ready + _AT_MOST:
            time.sleep(_LOOK)
    if len(dropped) < _HEALTHY:
        return len(dropped) / _AT_MOST
    return _HEALTHY / (max(each.stat().st_ctime for each in dropped) - ready)


def _dropped(drop: Path) -> list[Path]:
    return [each for each in drop.iterdir() if not each.name.startswith(".")]


@contextmanager
def _dead_server() -> Iterator[int]:
    """Yield the port of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        yield server.getsockname()[1]
