"""Measures the service beside mail fetchers in C and Python, all of them with a fast other side.

nginx and Dovecot serve the same contents. All programs take turns, each from an empty folder, and
every result is verified: the number of letters, and the SHA-256 of each. `BENCH_ROUNDS`,
`BENCH_LETTERS` and `BENCH_PROGRAMS` (words of their names) in the environment make it shorter, for
a quick look.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from subprocess import SubprocessError

from benchmarks import dovecot
from benchmarks.fast_runs import NotTheSame, Run, bare_run, fetcher_run, poll_again, service_run
from benchmarks.fast_table import SERVICE, figures
from benchmarks.mail_fetchers import FDM, GETMAIL, MBSYNC
from benchmarks.other_side import made_up_contents
from benchmarks.report import Figure
from benchmarks.static_altinn import StaticAltinn, nginx, static_altinn
from benchmarks.static_answers import MOST_LETTERS

_SHORTENING = ("BENCH_ROUNDS", "BENCH_LETTERS", "BENCH_PROGRAMS")
_SIZES = {100_000: 1_000, 5_000: 4_000}
_ROUNDS = 3
_BARE = ("http.client", "httpx")
_FETCHERS = (MBSYNC, FDM, GETMAIL)
Do = Callable[[Path], Run]


def is_shortened() -> bool:
    """Whether this is only a quick look, whose figures are not for the documents."""
    return any(name in os.environ for name in _SHORTENING)


def fast(folder: Path) -> Iterator[Figure]:
    """Measure at both sizes; name what cannot be measured here."""
    if not nginx():
        yield Figure(what="a fast other side", measured="not measured: nginx is not installed")
        return
    for size, usual in _SIZES.items():
        letters = _number("BENCH_LETTERS", usual)
        yield from _at_size(folder / str(size), letters, size)
    if missing := _missing():
        yield Figure(what="other programs", measured=f"not measured: {', '.join(missing)}")


def _number(name: str, usual: int) -> int:
    text = os.environ.get(name, str(usual))
    if not (text.isascii() and text.isdigit() and int(text) <= MOST_LETTERS and int(text)):
        raise SystemExit(f"{name} must be a number from 1 to {MOST_LETTERS}, and is {text!r}")
    return int(text)


def _missing() -> list[str]:
    if not dovecot.installed():
        return ["mail fetchers, because Dovecot is not installed or we are not root"]
    return [f"{each.name}, because it is not installed" for each in _FETCHERS if not each.installed]


def _at_size(folder: Path, letters: int, size: int) -> Iterator[Figure]:
    contents = list(made_up_contents(letters, size))
    wanted = Counter(hashlib.sha256(each).hexdigest() for each in contents)
    with ExitStack() as stack:
        altinn = stack.enter_context(static_altinn(folder / "altinn", contents))
        programs = _programs(altinn, wanted)
        if dovecot.installed():
            server = stack.enter_context(dovecot.dovecot(folder / "mail", contents))
            programs |= {
                each.name: partial(fetcher_run, each, server, wanted)
                for each in _FETCHERS
                if each.installed
            }
        runs = by_turns(_chosen(programs), folder)
        again = poll_again(altinn, _box(folder, SERVICE, 0)) if SERVICE in runs else None
    yield from figures(runs, letters, size, again)


def _programs(altinn: StaticAltinn, wanted: Counter[str]) -> dict[str, Do]:
    bare = {f"bare {each}": partial(bare_run, altinn, each, wanted) for each in _BARE}
    return {SERVICE: partial(service_run, altinn, wanted), **bare}


def _chosen(programs: Mapping[str, Do]) -> Mapping[str, Do]:
    words = os.environ.get("BENCH_PROGRAMS", "").lower().split()
    return {
        name: do
        for name, do in programs.items()
        if not words or any(word in name.lower() for word in words)
    }


def _box(folder: Path, name: str, number: int) -> Path:
    """Return the folder of a program's round."""
    return folder / f"{name.partition(',')[0]}-{number}"


def by_turns(programs: Mapping[str, Do], folder: Path) -> Mapping[str, Sequence[Run]]:
    """Run each program in each round.

    One of another maker that fails is reported, and its other rounds count: getmail6 may miss the
    end of a child of its own while the machine is busy.
    """
    runs: dict[str, list[Run]] = {name: [] for name in programs}
    for number in range(_number("BENCH_ROUNDS", _ROUNDS)):
        for name, do in programs.items():
            os.sync()  # what others have written is not to be written on this one's time
            try:
                runs[name].append(do(_box(folder, name, number)))
            except (SubprocessError, NotTheSame) as error:
                if name == SERVICE:
                    raise
                sys.stderr.write(f"{name} failed in round {number + 1}: {error}\n")
    return runs
