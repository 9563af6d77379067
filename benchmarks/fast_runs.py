"""One run of each kind of program against the fast other side, measured and verified."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import processes
from benchmarks.dovecot import Dovecot
from benchmarks.loopback import GROUP, USER
from benchmarks.mail_fetchers import Fetcher, digests
from benchmarks.processes import peak_memory
from benchmarks.service import READY, fresh, running
from benchmarks.static_altinn import StaticAltinn
from benchmarks.throughput import bare_command

_LOOK = 0.01  # seconds, until the service is ready
_DELIVERED, _POLLED = "delivery attempted", "polled"
_PATIENCE = 600.0  # seconds
_POLL_EVERY = 2  # seconds
_POLLS = 5


class NotTheSame(Exception):
    """What a program has written is not what it was to fetch."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one run took. Times are in seconds, memory in MB."""

    seconds: float
    """From when the program was ready to its last letter."""
    processor: float
    """Its processor time in these seconds, with its workers."""
    whole_seconds: float
    """From the start of its process."""
    whole_processor: float
    server: float
    """The other side's processor time."""
    memory: float
    """The most that was seen."""
    others: float
    """Cores that were busy with something else."""


@dataclass(frozen=True, kw_only=True)
class PollAgain:
    """What a poll with nothing new takes inside the running service, in seconds."""

    seconds: float
    processor: float


@dataclass
class _Around:
    """What was used around a run. Complete when its block has ended."""

    server: float = 0.0
    others: float = 0.0


def service_run(
    altinn: StaticAltinn, wanted: Counter[str], box: Path, change: Callable[[str], str] = str
) -> Run:
    """Run the service until it has dropped every letter. Raises TooLong and NotTheSame.

    `change` is given its configuration, and returns another one.
    """
    configuration, letters = fresh(altinn.scene, box), wanted.total()
    configuration.write_text(change(configuration.read_text("utf-8")), encoding="utf-8")
    with _around(altinn.pid) as around:
        began = datetime.now(UTC)
        with running(configuration) as service, peak_memory(service.process.pid) as peak:
            service.wait_for_log(READY, _LOOK)
            start = service.cpu_seconds()
            service.wait_for_lines(_DELIVERED, letters)
            whole = service.cpu_seconds()
            ready, ended = service.times(READY)[0], service.times(_DELIVERED)[-1]
    _verify_drops(box / "drop", wanted)
    return Run(
        seconds=(ended - ready).total_seconds(),
        processor=whole - start,
        whole_seconds=(ended - began).total_seconds(),
        whole_processor=whole,
        server=around.server,
        memory=peak.seen,
        others=around.others,
    )


def poll_again(altinn: StaticAltinn, box: Path) -> PollAgain:
    """Run the service where it has dropped every letter already, and measure a few polls.

    The time of a poll is that from its first list, as nginx has it, to its line in the log.
    """
    configuration = box / "etc" / "postmottak.toml"
    text = configuration.read_text(encoding="utf-8")
    configuration.write_text(
        text.replace('type = "altinn3"', f'type = "altinn3"\npoll_every = "{_POLL_EVERY}s"'),
        encoding="utf-8",
    )
    altinn.lists.write_text("", encoding="utf-8")
    with running(configuration) as service:
        service.wait_for_lines(_POLLED, 1)
        processor = service.cpu_seconds()
        service.wait_for_lines(_POLLED, 1 + _POLLS)
        processor = service.cpu_seconds() - processor
        ends = [each.timestamp() for each in service.times(_POLLED)][: 1 + _POLLS]
        if re.search(rf"event='{_POLLED}'.* stored=[1-9]", service.log.read_text("utf-8")):
            raise NotTheSame("letters were stored again")
    lists = [float(line) for line in altinn.lists.read_text(encoding="utf-8").split()]
    seconds = [end - min(each for each in lists if before < each) for before, end in pairwise(ends)]
    return PollAgain(seconds=median(seconds), processor=processor / _POLLS)


def bare_run(altinn: StaticAltinn, client: str, wanted: Counter[str], box: Path) -> Run:
    """Run a bare client. Raises SubprocessError and NotTheSame."""
    run, printed = _run(altinn.pid, bare_command(altinn.scene, box, client))
    _verify_drops(box, wanted)
    seconds, processor = map(float, printed.split())
    return replace(run, seconds=seconds, processor=processor)


def fetcher_run(fetcher: Fetcher, server: Dovecot, wanted: Counter[str], box: Path) -> Run:
    """Run a mail fetcher, which is ready at once. Raises SubprocessError and NotTheSame."""
    command = fetcher.prepared(box, server)
    os.sync()
    run, _ = _run(server.pid, command, user=USER, group=GROUP, cwd=box, env=_environment(box))
    _verify(digests(box), wanted, box)
    return run


def _run(server: int, command: Sequence[str], **options: Any) -> tuple[Run, bytes]:
    """Run a program from its start to its end. Returns what it has printed as well."""
    with _around(server) as around:
        used, began = _children(), time.perf_counter()
        with (
            subprocess.Popen(  # noqa: S603  # fixed arguments
                command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, **options
            ) as process,
            peak_memory(process.pid) as peak,
        ):
            try:
                printed, _ = process.communicate(timeout=_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
            seconds = time.perf_counter() - began
        used = _children() - used
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    run = Run(
        seconds=seconds,
        processor=used,
        whole_seconds=seconds,
        whole_processor=used,
        server=around.server,
        memory=peak.seen,
        others=around.others,
    )
    return run, printed


def _environment(home: Path) -> dict[str, str]:
    return {"HOME": str(home), "PATH": os.defpath}


def _children() -> float:
    """Return the processor time of all children that have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextmanager
def _around(server: int) -> Iterator[_Around]:
    """Measure the other side and the rest of the machine until the block ends."""
    around = _Around()
    server_before, machine, began = (
        processes.cpu_seconds(server),
        processes.machine_seconds(),
        time.perf_counter(),
    )
    own = time.process_time() + _children()
    yield around
    around.server = processes.cpu_seconds(server) - server_before
    own = time.process_time() + _children() - own
    used = processes.machine_seconds() - machine - own - around.server
    around.others = max(0.0, used / (time.perf_counter() - began))


def _verify_drops(drop: Path, wanted: Counter[str]) -> None:
    """Check every file against its SHA256SUMS, and the attachments against what was served."""
    found: Counter[str] = Counter()
    for folder in drop.iterdir():
        if folder.name.startswith("."):
            continue
        for line in (folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines():
            digest, _, name = line.partition("  ")
            if sha256((folder / name).read_bytes()).hexdigest() != digest:
                raise NotTheSame(f"{folder / name} is not what SHA256SUMS says")
            found[digest] += digest in wanted
    _verify(+found, wanted, drop)


def _verify(found: Counter[str], wanted: Counter[str], where: Path) -> None:
    if found != wanted:
        raise NotTheSame(
            f"{where} has {found.total()} letters that were served, and should have "
            f"{wanted.total()}, each once"
        )
