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
    """Yield the service's figures beside those of each other program."""
    what = f"{letters:,} letters of {size // 1000} kB from a fast other side"
    for name, some in runs.items():
        if name != SERVICE:
            yield Figure(what=f"{what}: {name}", measured=_described(some, letters))
    ours = runs.get(SERVICE)
    if not ours:
        return
    yield Figure(what=f"{what}: {SERVICE}, from ready", measured=_described(ours, letters))
    yield from _rates(f"{what}: letters a second", runs, letters)
    yield _processor(f"{what}: ms of processor time a letter", ours, letters, size)
    if again:
        yield Figure(
            what=f"{what}: a poll with nothing new in the running service, ms",
            measured=f"{1000 * again.seconds:.0f}",
            beside=f"{1000 * again.processor:.0f}: of processor time",
        )


def _rates(what: str, runs: Mapping[str, Sequence[Run]], letters: int) -> Iterator[Figure]:
    ready = _rate(runs[SERVICE], letters)
    whole = median(letters / each.whole_seconds for each in runs[SERVICE])
    for name, some in runs.items():
        if name == SERVICE:
            continue
        theirs, wanted = _rate(some, letters), _AT_LEAST.get(name)
        yield Figure(
            what=f"{what}, from ready (from the start of the process: {whole:.0f})",
            measured=f"{ready:.0f}",
            beside=f"{theirs:.0f}: {name}",
            ratio=ready / theirs,
            wanted=f"at least {wanted:g}" if wanted else "",
            held=ready / theirs >= wanted if wanted else None,
        )


def _processor(what: str, runs: Sequence[Run], letters: int, size: int) -> Figure:
    used = _milliseconds(runs, lambda each: each.processor, letters)
    whole = _milliseconds(runs, lambda each: each.whole_processor, letters)
    most = _PROCESSOR_AT_MOST[size]
    return Figure(
        what=f"{what}, service and workers from ready",
        measured=f"{used:.2f}",
        beside=f"{whole:.2f}: with its start",
        wanted=f"at most {most:g}",
        held=used <= most,
    )


def _described(runs: Sequence[Run], letters: int) -> str:
    """Return everything about one program's runs in a line."""
    rates = ", ".join(f"{letters / each.seconds:.0f}" for each in runs)
    quietest = min(runs, key=lambda each: each.others)
    used = _milliseconds(runs, lambda each: each.processor, letters)
    server = _milliseconds(runs, lambda each: each.server, letters)
    peak = median(each.memory for each in runs)
    return (
        f"{_rate(runs, letters):.0f} letters a second (each round: {rates}; the quietest, with "
        f"{quietest.others:.1f} cores busy for others: {letters / quietest.seconds:.0f}); "
        f"{used:.2f} ms of processor time a letter, and {server:.2f} of its server; {peak:.0f} MB"
    )


def _rate(runs: Sequence[Run], letters: int) -> float:
    return median(letters / each.seconds for each in runs)


def _milliseconds(runs: Sequence[Run], used: Callable[[Run], float], letters: int) -> float:
    return 1000 * median(map(used, runs)) / letters
