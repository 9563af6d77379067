"""Measures letters a second, from listing to dropped folder.

They are compared with a bare client, with the limit that latency sets, and with getmail6.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from statistics import median

from benchmarks import getmail
from benchmarks.other_side import other_side
from benchmarks.report import Figure
from benchmarks.service import fresh, running
from daemon.intake.carrier import Carrier

_LETTERS, _FEW = 600, 100
_SIZE = 100_000
_REPEATS = 3
_THREADS = 16  # as many as the service has for fetching and one destination together
_LATENCY = 0.05
_CALLS = 2  # an overview and a download
_AT_LEAST, _PEER_AT_LEAST, _LATENCY_AT_MOST = 0.7, 3.0, 1.3


def throughput(folder: Path) -> Iterator[Figure]:
    """Measure without latency.

    The repeats of all programs alternate, so that other load on the machine affects them alike.
    """
    rates: dict[str, list[float]] = {"http.client": [], "httpx": [], "service": [], "getmail": []}
    cpu: list[float] = []
    with other_side(folder / "scene", letters=_LETTERS, size=_SIZE) as scene:
        for number in range(_REPEATS):
            for client in ("http.client", "httpx"):
                rates[client].append(
                    _LETTERS / _bare_seconds(scene, folder / f"{client}-{number}", client)
                )
            seconds, processor = service_seconds(scene, folder / f"service-{number}", _LETTERS)
            rates["service"].append(_LETTERS / seconds)
            cpu.append(1000 * processor / _LETTERS)
            if getmail.installed():
                # on a busy machine it gives up waiting for its own child process
                with suppress(subprocess.CalledProcessError):
                    rates["getmail"].append(
                        _FEW / getmail.seconds(folder / f"getmail-{number}", _FEW, _SIZE)
                    )
    ours, what = median(rates["service"]), "letters a second, 100 kB each, no latency"
    yield Figure(
        what=f"{what}; {median(cpu):.1f} ms of processor time a letter", measured=f"{ours:.0f}"
    )
    for client in ("http.client", "httpx"):
        bare = median(rates[client])
        ratio = ours / bare
        yield Figure(
            what=what,
            measured=f"{ours:.0f}",
            beside=f"{bare:.0f}: bare {client}, the same calls and synced bytes",
            ratio=ratio,
            wanted=f"at least {_AT_LEAST}",
            held=ratio >= _AT_LEAST,
        )
    yield _beside_getmail(what, ours, rates["getmail"])


def _beside_getmail(what: str, ours: float, rates: list[float]) -> Figure:
    if not rates:
        return Figure(
            what=what,
            measured=f"{ours:.0f}",
            beside=(
                "getmail6 not measured: it or Dovecot is not installed, we are not root, or it "
                "failed"
            ),
        )
    peer = median(rates)
    return Figure(
        what=what,
        measured=f"{ours:.0f}",
        beside=f"{peer:.0f}: getmail6, the same letters from Dovecot to a Maildir",
        ratio=ours / peer,
        wanted=f"at least {_PEER_AT_LEAST:g}",
        held=ours / peer >= _PEER_AT_LEAST,
    )


def latency(folder: Path) -> Iterator[Figure]:
    """Measure with a pause before each answer.

    The time should then be calls x latency / workers, and little more.
    """
    limit = _LETTERS * _CALLS * _LATENCY / Carrier.workers
    with other_side(folder / "scene", letters=_LETTERS, size=_SIZE, latency=_LATENCY) as scene:
        seconds = median(
            service_seconds(scene, folder / f"late-{number}", _LETTERS)[0]
            for number in range(_REPEATS)
        )
    yield Figure(
        what=f"seconds for {_LETTERS} letters with {1000 * _LATENCY:.0f} ms added to each call",
        measured=f"{seconds:.1f}",
        beside=f"{limit:.1f}: calls x latency / {Carrier.workers} workers",
        ratio=seconds / limit,
        wanted=f"at most {_LATENCY_AT_MOST}",
        held=seconds / limit <= _LATENCY_AT_MOST,
    )


def service_seconds(scene: Path, folder: Path, letters: int) -> tuple[float, float]:
    """Return the seconds from the service's start to its last delivery, and of the processor.

    The times are from the service's log.
    """
    with running(fresh(scene, folder)) as service:
        service.wait_for_log("service started")
        processor = service.cpu_seconds()
        service.wait_for_letters(letters)
        service.wait_for_lines("delivery attempted", letters)
        processor = service.cpu_seconds() - processor
        began, ended = service.times("service started")[0], service.times("delivery attempted")[-1]
    return (ended - began).total_seconds(), processor


def bare_command(scene: Path, target: Path, client: str) -> list[str]:
    """Return the command of a bare client.

    It prints the seconds that it takes, and those of the processor.
    """
    module = [sys.executable, "-m", "benchmarks.bare"]
    return [*module, str(scene), str(target), client, str(_THREADS)]


def _bare_seconds(scene: Path, target: Path, client: str) -> float:
    command = bare_command(scene, target, client)
    # our own module
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout  # noqa: S603
    return float(printed.split()[0])
