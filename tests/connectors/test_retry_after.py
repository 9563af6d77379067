"""The wait that another side asks for: understood as it is meant, and never so long that it
silences us."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from connectors.net.retry_after import retry_after

NOW = datetime(2026, 3, 12, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("0", timedelta()),
        (" 90 ", timedelta(seconds=90)),
        ("9" * 400, timedelta(days=1)),
        ("Thu, 12 Mar 2026 12:05:00 GMT", timedelta(minutes=5)),
        ("Thu, 12 Mar 2026 12:05:00 -0000", timedelta(minutes=5)),
        ("Thu, 12 Mar 2126 12:05:00 GMT", timedelta(days=1)),
        ("Thu, 12 Mar 2026 11:00:00 GMT", timedelta()),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("٣", None),
        ("Thu, 99 Mar 2026 12:05:00 +99999999999999999999", None),
    ],
)
def test_retry_after(header: str, expected: timedelta | None) -> None:
    """Seconds and dates are understood, at most a day is waited for, a date that is over asks for
    nothing, and the rest is ignored."""
    assert retry_after(header, NOW) == expected
