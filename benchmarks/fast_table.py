"""The figures of the runs against the fast other side: medians, and the quietest round."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median

from benchmarks.fast_runs import PollAgain, Run
from benchmarks.mail_fetchers import GETMAIL, MBSYNC
from benchmarks.report import Figure

SERVICE = "Postmottak"
_AT_LEAST = {MBSYNC.name: 0.8, GETMAIL.name: 10.0}
_PROCESSOR_AT_MOST = {100_000: 1.6, 5_000: 1.2}
"""In milliseconds a letter, by the size of its attachment."""


def figures(
    runs: Mapping[str, Sequence[Run]], letters: int, size: int, again: PollAgain | None
) -> Iterator[Figure]:
    """Yield each program's rate, and the service beside each of the others.

    The service is compared from the moment when it is ready, as it stays; a program that is
    started for each fetch, from its start.
    """
    what = f"{letters:,} letters of {size / 1000:g} kB"
    for name, some in runs.items():
        yield _rate_of(f"{what}: {name}, letters a second", some, letters)
    ours = runs.get(SERVICE)
    if not ours:
        return
    for name, some in runs.items():
        if name != SERVICE and some:
            yield _beside(f"{what}: {SERVICE} beside {name}", ours, (name, some), letters)
    yield _processor(f"{what}: {SERVICE}, ms of processor time a letter", ours, letters, size)
    if again:
        yield Figure(
            what=f"{what}: a poll with nothing new in the running service, ms",
            measured=f"{1000 * again.seconds:.0f}",
            beside=f"{1000 * again.processor:.0f}: of processor time, from one poll to the next",
        )


def _rate_of(what: str, runs: Sequence[Run], letters: int) -> Figure:
    if not runs:
        return Figure(what=what, measured="failed in every round")
    rates = ", ".join(f"{letters / each.seconds:.0f}" for each in runs)
    quietest = _quietest(runs)
    used = _milliseconds(runs, lambda each: each.processor, letters)
    server = _milliseconds(runs, lambda each: each.server, letters)
    peak = median(each.memory for each in runs)
    return Figure(
        what=what,
        measured=f"{_rate(runs, letters):.0f}",
        beside=(
            f"each round: {rates}; the quietest: {letters / quietest.seconds:.0f}, with "
            f"{quietest.others:.1f} cores busy for others; {used:.2f} ms of processor time a "
            f"letter, and {server:.2f} of the other side; {peak:.0f} MB"
        ),
    )


def _beside(
    what: str, ours: Sequence[Run], other: tuple[str, Sequence[Run]], letters: int
) -> Figure:
    name, runs = other
    ratio, wanted = _rate(ours, letters) / _rate(runs, letters), _AT_LEAST.get(name)
    whole = median(letters / each.whole_seconds for each in ours)
    quietest = _quietest(runs).seconds / _quietest(ours).seconds
    return Figure(
        what=f"{what}, letters a second",
        measured=f"{_rate(ours, letters):.0f}",
        beside=(
            f"{_rate(runs, letters):.0f}; of the quietest rounds the ratio is {quietest:.2f}, and "
            f"from the start of the service's process, with {whole:.0f}, "
            f"{whole / _rate(runs, letters):.2f}"
        ),
        ratio=ratio,
        wanted=f"at least {wanted:g}" if wanted else "",
        held=ratio >= wanted if wanted else None,
    )


def _processor(what: str, runs: Sequence[Run], letters: int, size: int) -> Figure:
    used = _milliseconds(runs, lambda each: each.processor, letters)
    whole = _milliseconds(runs, lambda each: each.whole_processor, letters)
    most = _PROCESSOR_AT_MOST[size]
    return Figure(
        what=what,
        measured=f"{used:.2f}",
        beside=f"{whole:.2f}: with its start",
        wanted=f"at most {most:g}",
        held=used <= most,
    )


def _quietest(runs: Sequence[Run]) -> Run:
    return min(runs, key=lambda each: each.others)


def _rate(runs: Sequence[Run], letters: int) -> float:
    return median(letters / each.seconds for each in runs)


def _milliseconds(runs: Sequence[Run], used: Callable[[Run], float], letters: int) -> float:
    return 1000 * median(map(used, runs)) / letters
