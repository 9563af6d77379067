"""A problem that goes on hides nothing that joins it, and is told neither twice nor as two."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime, timedelta

import pytest

from daemon.core.bookkeeping import Alert, Bookmark
from daemon.core.errors import TemporaryFailure
from daemon.monitoring.alerts import AlertNotifier
from daemon.store import Store, results
from tests.unit.alerting import Desk, new_desk, read  # noqa: F401  # a fixture
from tests.unit.conftest import stored_letter

AWAY = "the receiver answers with status 503; it is tried again later"
CLOSED = "the receiver answers with status 403; give the user the right"
NO_RIGHT = "the system user of {party} may not read skatt; grant it"
BROKEN = "Altinn answers with status 500; it is tried again later"
ORGANISATIONS = ("910000001", "910000002", "910000003")
HOUR = timedelta(hours=1)


def listed(
    desk: Desk, failing: Mapping[str, datetime], reason: str = NO_RIGHT, *, refused: bool = True
) -> None:
    """Every organisation was listed just now; some are failing since then."""
    rows = [
        Bookmark(
            mailbox="altinn",
            party=party,
            service="4255/8",
            resource="skatt",
            begun=True,
            succeeded_at=since or desk.clock(),
            failed_at=desk.clock() if since else None,
            failing_since=since,
            refused=refused and since is not None,
            last_error=reason.format(party=party) if since else None,
        )
        for party in ORGANISATIONS
        for since in (failing.get(party),)
    ]
    desk.store.bookmarks.save(rows)


def tries(desk: Desk, reasons: Mapping[str, int]) -> None:
    """So many more deliveries to `erp` fail for each reason."""
    for reason, count in reasons.items():
        made = len(desk.store.queries.deliveries())
        letters = [stored_letter(f"{made + number}", ("erp",)) for number in range(count)]
        desk.store.letters.add(letters)
        later = desk.clock() + timedelta(days=9)
        now = desk.clock()
        for claim in desk.store.outbox.claim("me", now, HOUR, count):
            desk.store.outbox.end([results.deferred(claim, reason, later, now, now)])


def looks(desk: Desk, alerter: AlertNotifier, times: int, *, minutes: int = 30) -> None:
    """Time goes on, and the mailbox is read."""
    for _ in range(times):
        desk.clock.advance(minutes=minutes)
        read(desk)
        alerter.look()


def test_another_organisation_is_told_of(desk: Desk) -> None:
    """One organisation has lost its rights and its owner was told; two days later another one loses
    them in the same words, and that is told with its number, once; the end is told once."""
    first = desk.clock()
    listed(desk, {ORGANISATIONS[0]: first})
    desk.make().look()
    second = desk.clock.advance(days=2)
    lost = {ORGANISATIONS[0]: first, ORGANISATIONS[1]: second}
    for _ in range(3):
        listed(desk, lost)
        desk.make().look()
        desk.clock.advance(hours=2)
    assert desk.kinds() == [("rights", False)] * 2
    assert ORGANISATIONS[1] not in desk.bell.told[0].text
    assert ORGANISATIONS[1] in desk.bell.told[1].text
    assert len({each.id for each in desk.bell.told}) == 2
    listed(desk, {ORGANISATIONS[1]: second})
    desk.make().look()
    (kept,) = desk.store.alerts.all()
    assert ORGANISATIONS[0] not in kept.text
    listed(desk, {})
    desk.make().look()
    assert desk.kinds()[2:] == [("rights", True)]


def test_an_outage_that_spreads_is_told_once_an_hour(desk: Desk) -> None:
    """Organisations that fail one after the other within an hour are not a mail each; those that
    have come since the first one are told together when the hour is over."""
    began, failing = desk.clock(), dict[str, datetime]()
    for party in ORGANISATIONS[:2]:
        failing[party] = desk.clock()
        listed(desk, failing)
        desk.make().look()
        desk.clock.advance(minutes=5)
    assert len(desk.bell.told) == 1
    desk.clock.now = began + HOUR
    listed(desk, failing)
    desk.make().look()
    assert [ORGANISATIONS[1] in each.text for each in desk.bell.told] == [False, True]


def test_a_momentary_failure_joins_nothing(desk: Desk) -> None:
    """What may pass is told when it has lasted, also beside what has lasted already."""
    first, alerter = desk.clock(), desk.make()
    desk.clock.advance(hours=2)
    listed(desk, {ORGANISATIONS[0]: first}, BROKEN, refused=False)
    alerter.look()
    since = desk.clock.advance(hours=1)
    for hours in (0, 2):
        desk.clock.advance(hours=hours)
        failing = {ORGANISATIONS[0]: first, ORGANISATIONS[1]: since}
        listed(desk, failing, BROKEN, refused=False)
        alerter.look()
        told = [each for each in desk.bell.told if ORGANISATIONS[1] in each.text]
        assert bool(told) is bool(hours)


def test_a_lost_right_is_told_beside_one_that_was_never_given(desk: Desk) -> None:
    """Both have the same words and one incident, and concern different organisations."""
    first, alerter = desk.clock(), desk.make()
    lost = dict[str, datetime]()
    for hours in (5, 1):
        since = desk.clock.advance(hours=hours)
        listed(desk, {ORGANISATIONS[0]: first, **lost})
        rows = desk.store.queries.bookmarks()
        for row in rows:
            row.begun = row.party != ORGANISATIONS[0]
        desk.store.bookmarks.save(rows)
        alerter.look()
        lost = {ORGANISATIONS[1]: since}
    assert [(each.kind, each.critical) for each in desk.bell.told] == [
        ("unread", True),
        ("rights", True),
    ]


def test_what_is_over_before_its_growth_was_told_is_told_to_be_over(desk: Desk) -> None:
    """Who was told of the beginning is told of the end, although a mail between them failed."""
    first, alerter = desk.clock(), desk.make()
    listed(desk, {ORGANISATIONS[0]: first})
    alerter.look()
    second = desk.clock.advance(hours=2)
    desk.bell.deaf = iter([TemporaryFailure("away")])
    listed(desk, {ORGANISATIONS[0]: first, ORGANISATIONS[1]: second})
    alerter.look()
    desk.clock.advance(minutes=5)
    listed(desk, {})
    alerter.look()
    assert desk.kinds() == [("rights", False), ("rights", True)]


def test_one_stuck_letter_does_not_hide_an_outage(desk: Desk) -> None:
    """One delivery has failed for long and was told of; that all others fail is told as well."""
    read(desk)
    tries(desk, {AWAY: 1})
    alerter = desk.make()
    looks(desk, alerter, 24)
    assert [each.kind for each in desk.bell.told] == ["failing", "undelivered"]
    tries(desk, {AWAY: 30})
    looks(desk, alerter, 4)
    assert [each.kind for each in desk.bell.told[2:]] == ["failing"]
    assert "31 deliveries fail" in desk.bell.told[2].text


def test_the_largest_cause_may_change(desk: Desk) -> None:
    """Letters that wait too long for two causes are one problem, whichever of them is the more
    frequent; so is a mailbox that cannot be read for two."""
    read(desk)
    tries(desk, {AWAY: 5, CLOSED: 4})
    alerter = desk.make()
    looks(desk, alerter, 12)
    before = desk.kinds()
    for more in (CLOSED, AWAY, CLOSED):
        tries(desk, {more: 2})
        looks(desk, alerter, 4)
    assert desk.kinds() == before
    desk.store.outbox.retry([each.id for each in desk.store.queries.deliveries()], desk.clock())
    now = desk.clock()
    for claim in desk.store.outbox.claim("me", now, HOUR, 99):
        desk.store.outbox.end([results.dead(claim, "x", now, now)])
    alerter.look()
    over = sorted(kind for kind, ended in desk.kinds() if ended)
    assert over == ["failing", "undelivered"]
    since = desk.clock.advance(hours=3)
    for parties in (ORGANISATIONS[:2], ORGANISATIONS[2:]):
        listed(desk, dict.fromkeys(ORGANISATIONS, since), BROKEN)
        rows = desk.store.queries.bookmarks()
        for row in rows:
            if row.party in parties:
                row.last_error = CLOSED
            row.succeeded_at = since
        desk.store.bookmarks.save(rows)
        alerter.look()
        desk.clock.advance(hours=2)
    assert [kind for kind, _ in desk.kinds()].count("silence") == 1


_LATER = (
    "removals",
    "grants",
    "sessions",
    "acknowledgements",
    "awaited",
    "reminders",
    "link_keys",
    "login_links",
    "login_attempts",
    "events",
    "routing_changes",
    "drafts",
    "publications",
    "users",
    "deadlines",
    "deadline_warnings",
    "calendars",
    "approvals",
    "dismissed_proposals",
    "bells",
    "mailbox_parties",
    "digests",
    "digest_rounds",
    "row_counts",
    "missing_files",
    "openings",
    "completeness",
    "canaries",
    "coverage_findings",
    "coverage_looks",
    "journal",
    "nodes",
    "duties",
    "polls",
    "host_pauses",
    "pending_logins",
    "upgrades",
)
"""Tables that later versions added."""
_UNDO = (
    *(f"DROP TRIGGER messages_{what}" for what in ("added", "removed")),
    *(f"DROP TRIGGER deliveries_{what}" for what in ("added", "removed", "changed")),
    "DROP INDEX messages_confidential",
    "DROP INDEX messages_by_due",
    "DROP INDEX decisions_by_operators",
    "DROP INDEX decisions_by_respond_by",
    "ALTER TABLE decisions DROP COLUMN respond_by",
    "ALTER TABLE messages DROP COLUMN party_name",
    "ALTER TABLE messages DROP COLUMN listed_at",
)
"""What removes everything else that they added to earlier tables."""


@pytest.mark.parametrize("kind", ["rights", "unread", "unfetched"])
def test_what_an_earlier_version_told_is_not_over(store: Store, desk: Desk, kind: str) -> None:
    """An earlier version kept an alert for each organisation: those are forgotten by the migration,
    and none is told to be over while it goes on; the others are known, and not told again."""
    long_ago = desk.clock() - timedelta(days=3)
    listed(desk, dict.fromkeys(ORGANISATIONS[:2], long_ago))
    tries(desk, {AWAY: 1})
    desk.clock.advance(hours=5)
    listed(desk, dict.fromkeys(ORGANISATIONS[:2], long_ago))
    earlier = {f"{kind} altinn {party}": kind for party in ORGANISATIONS[:2]}
    for key, each in {**earlier, "undelivered erp": "undelivered"}.items():
        alert = Alert(
            key=key, kind=each, critical=True, text="x", began_at=long_ago, told={"mail": "begun"}
        )
        with store.letters._database.write() as session:
            session.add(alert)
    path = desk.configuration.store.database
    store.close()
    with closing(sqlite3.connect(path.removeprefix("sqlite:///"))) as connection:
        for column in ("incident", "parties", "count"):
            connection.execute(f"ALTER TABLE alerts DROP COLUMN {column}")
        for table in _LATER:
            connection.execute(f"DROP TABLE {table}")
        for statement in _UNDO:
            connection.execute(statement)
        connection.execute("UPDATE alembic_version SET version_num = '0005'")
        connection.commit()
    desk.store = Store(path)
    alerter = desk.make()
    alerter.look()
    desk.store.close()
    assert "undelivered" not in [each for each, _ in desk.kinds()]
    assert not any(ended for _, ended in desk.kinds())
