"""Altinn's clock: what the mailbox hears of it, and that a machine whose own is wrong still gets
its tokens."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from daemon.core.elapsed import elapsed
from daemon.runtime.clock import Clock, utc_now
from tests.connectors.altinn3_post import Post, new_post  # noqa: F401  # a fixture

YEAR = timedelta(days=365)
SECONDS = timedelta(seconds=10)


def test_every_answer_tells_the_time(post: Post) -> None:
    """Nothing is known before the first call; then it is what Altinn's `Date` said, at the second
    at which it was heard."""
    assert post.mailbox.source_time() is None
    post.altinn.clock.skew = YEAR
    before = elapsed()
    post.refs()
    heard = post.mailbox.source_time()
    assert heard is not None
    assert abs(heard.date - datetime.now(UTC) - YEAR) < SECONDS
    assert before <= heard.at <= elapsed()


def test_a_machine_that_is_a_year_off(post: Post) -> None:
    """The clock goes by Altinn's as soon as the first list is there; when the machine's is set
    right, tokens still come at once."""
    post.mailbox._tokens._wall = lambda: time.time() - YEAR.total_seconds()
    clock = Clock(utc_now() - YEAR, wall=lambda: datetime.now(UTC) - YEAR)
    clock.follow(post.mailbox.source_time)
    assert datetime.now(UTC) - clock.now() > 30 * timedelta(days=1)
    ref = post.publish()
    assert abs(clock.now() - datetime.now(UTC)) < SECONDS
    assert (clock.trusted, bool(clock.problems())) == (False, True)
    post.mailbox._tokens._wall = time.time
    post.mailbox._tokens._entries.clear()
    asked = post.altinn.count("token")
    assert post.mailbox.fetch(ref).envelope.ref == ref
    assert post.altinn.count("token") - asked <= 2
