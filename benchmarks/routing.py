"""Measures how fast letters are routed and how long a table takes to load, by the table's size.

Run as `python -m benchmarks.routing [LETTERS]`; prints a line for each size.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from benchmarks.report import Figure, table
from daemon.core.dpv import DPV_SERVICES
from daemon.routing.decide import decide
from daemon.routing.facts import Facts
from daemon.routing.table import parse_table

_SIZES = (10, 1_000, 10_000)
_NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
_RECIPIENT = '[[recipient]]\nname = "post"\ndeliver_to = ["erp"]\n'
_LAST = '[[route]]\nname = "Alt annet"\nto = ["post"]\n'


def _table(size: int) -> str:
    return "".join([_RECIPIENT, *(_route(number) for number in range(size - 1)), _LAST])


def _route(number: int) -> str:
    service = DPV_SERVICES[number % len(DPV_SERVICES)].code
    conditions = (
        f'senders = ["{organisation(number)}"]\nservices = ["{service}"]',
        f'senders = ["Etat {number:05d}*"]',
        f'services = ["{service}"]\ntitle_contains = ["emne {number:05d}", "sak {number:05d}"]',
    )[number % 3]
    return f'[[route]]\nname = "rute {number}"\n{conditions}\nto = ["post"]\n'


def organisation(number: int) -> str:
    """Return an invented organisation number with a valid check digit.

    Every eleventh set of eight digits has none, and is replaced by the next.
    """
    for digits in (f"{9_000_000 + 2 * number + more:08d}" for more in range(2)):
        rest = (
            sum(
                weight * int(digit)
                for weight, digit in zip((3, 2, 7, 6, 5, 4, 3, 2), digits, strict=True)
            )
            % 11
        )
        if rest != 1:
            return digits + str((11 - rest) % 11)
    raise AssertionError(number)


def _letters(count: int, size: int) -> Iterator[Facts]:
    chance = random.Random(1)  # noqa: S311  # the same letters each time
    for _ in range(count):
        number = chance.randrange(2 * size)  # every second letter matches only the last route
        yield Facts(
            service=chance.choice(DPV_SERVICES).code,
            at=_NOW,
            sender_org=organisation(number),
            sender_name=f"Etat {number:05d} avdeling nord",
            title=f"Vedtak om emne {number:05d} etter søknad, med frist for klage",
        )


def routing(count: int) -> Iterator[Figure]:
    """Measure `count` letters with a table of each size."""
    for size in _SIZES:
        text, letters = _table(size), list(_letters(count, size))
        began = time.perf_counter()
        routes = parse_table(text, "routing.toml", ["erp"])
        decide(routes, letters[0])  # the index is built for the first letter
        loaded = time.perf_counter()
        for facts in letters:
            decide(routes, facts)
        routed = time.perf_counter() - loaded
        measured = (
            f"{count / routed:,.0f} letters a second; the table is loaded in {loaded - began:.2f} s"
        )
        yield Figure(what=f"routing by {size:,} routes", measured=measured)


if __name__ == "__main__":
    print(table(list(routing(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000))))
