"""Covers have Norwegian days, wherever the machine is and whatever the clocks do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime

import pytest

from daemon.routing.decide import decide
from daemon.routing.facts import Facts
from daemon.routing.table import parse_table

TABLE = """\
[[recipient]]
name = "kari"
deliver_to = ["erp"]
[[recipient]]
name = "ola"
deliver_to = ["erp"]
[[route]]
name = "rest"
to = ["kari"]
[[delegation]]
from = "kari"
to = "ola"
starts = FIRST
ends = LAST
"""


@pytest.fixture(
    autouse=True, params=["UTC", "Pacific/Kiritimati", "America/Los_Angeles", "Europe/Oslo"]
)
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine that stands somewhere else."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("first", "last", "moment", "covered"),
    [
        ("2026-12-21", "2027-01-03", "2026-12-20T22:59:59", False),
        ("2026-12-21", "2027-01-03", "2026-12-20T23:00:00", True),
        ("2026-12-21", "2027-01-03", "2026-12-31T23:30:00", True),
        ("2026-12-21", "2027-01-03", "2027-01-03T22:59:59", True),
        ("2026-12-21", "2027-01-03", "2027-01-03T23:00:00", False),
        ("2027-01-01", "2027-01-01", "2026-12-31T22:59:59", False),
        ("2027-01-01", "2027-01-01", "2026-12-31T23:00:00", True),
        ("2026-07-01", "2026-07-01", "2026-06-30T21:59:59", False),
        ("2026-07-01", "2026-07-01", "2026-06-30T22:00:00", True),
        ("2026-07-01", "2026-07-01", "2026-07-01T21:59:59", True),
        ("2026-07-01", "2026-07-01", "2026-07-01T22:00:00", False),
        ("2026-03-29", "2026-03-29", "2026-03-28T23:00:00", True),
        ("2026-03-29", "2026-03-29", "2026-03-29T21:59:59", True),
        ("2026-03-29", "2026-03-29", "2026-03-29T22:00:00", False),
        ("2026-10-25", "2026-10-25", "2026-10-24T22:00:00", True),
        ("2026-10-25", "2026-10-25", "2026-10-25T22:59:59", True),
        ("2026-10-25", "2026-10-25", "2026-10-25T23:00:00", False),
    ],
)
def test_a_cover_has_its_first_and_its_last_day(
    first: str, last: str, moment: str, *, covered: bool
) -> None:
    """Both days count whole, from midnight to midnight in Norway, also when a day has 23 or 25
    hours and when the year ends."""
    table = parse_table(
        TABLE.replace("FIRST", first).replace("LAST", last), "routing.toml", ["erp"]
    )
    decision = decide(
        table, Facts(service="4255/8", at=datetime.fromisoformat(moment).replace(tzinfo=UTC))
    )
    assert decision
    assert decision.recipients == (("ola",) if covered else ("kari",))


def test_the_day_is_norwegian() -> None:
    """A letter that is decided at half past eleven in the evening, UTC, is decided on the next
    day."""
    assert Facts(service="4255/8", at=datetime(2026, 12, 31, 23, 30, tzinfo=UTC)).day == date(
        2027, 1, 1
    )
