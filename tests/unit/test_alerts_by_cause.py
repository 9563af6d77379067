"""What an alert says: problems with one cause are one mail, with the remedy, in the configured
language."""

from __future__ import annotations

import re
import socket
from dataclasses import replace
from datetime import timedelta

import pytest

from daemon.config.loader import AlertLanguage
from daemon.core.bookkeeping import Bookmark
from daemon.core.model import SightingState
from daemon.monitoring import alert_text
from daemon.store import results
from tests.unit.alerting import KEY_LASTS, Desk, new_desk, read  # noqa: F401  # a fixture
from tests.unit.conftest import ROOT, envelope, stored_letter

pytestmark = pytest.mark.both_databases

OPERATING = ROOT / "docs" / "operating.md"


def channels(desk: Desk, count: int, reason: str, since: timedelta = timedelta()) -> None:
    """So many organisations cannot be read since then, the last ones a while later."""
    rows = [
        Bookmark(
            mailbox="altinn",
            party=f"9{number:08}",
            service="4255/8",
            resource="skatt",
            begun=True,
            succeeded_at=desk.clock()
            - since
            - timedelta(minutes=5)
            + number * timedelta(minutes=1),
            failed_at=desk.clock(),
            failing_since=desk.clock() - since,
            last_error=reason.format(party=f"9{number:08}"),
        )
        for number in range(count)
    ]
    desk.store.bookmarks.save(rows)


EXPIRED = (
    "Maskinporten refuses a token for {party}: the key has expired, as keys do a year after "
    "registration; register a new one"
)


def test_one_cause_is_one_mail(desk: Desk) -> None:
    """A key that has expired fails for each of twelve organisations, then for the whole mailbox,
    and then for hours: that is one mail with cause, remedy and host, and one when it is over."""
    channels(desk, 12, EXPIRED)
    for _ in range(12):
        desk.make().look()
        desk.clock.advance(minutes=30)
        channels(desk, 12, EXPIRED, since=timedelta(minutes=30))
        with desk.store.letters._database.write() as session:
            session.connection().exec_driver_sql(
                "UPDATE bookmarks SET succeeded_at = '2026-11-24 08:55:00.000000'"
            )
    assert [ended for _, ended in desk.kinds()] == [False]
    told = desk.bell.told[0]
    assert told.critical
    assert "the key has expired" in told.subject
    assert "What to do: register a new one" in told.text
    assert f"Host: {socket.gethostname()}" in told.text
    rows = desk.store.queries.bookmarks()
    for row in rows:
        row.failing_since, row.last_error, row.succeeded_at = None, None, desk.clock()
    desk.store.bookmarks.save(rows)
    desk.make().look()
    desk.make().look()
    assert [ended for _, ended in desk.kinds()] == [False, True]
    assert desk.store.alerts.all() == []


def test_a_key_that_has_ended_is_one_mail(desk: Desk) -> None:
    """That the key has ended, as the configuration says, and that nothing can be read for want of a
    token, is one cause."""
    desk.store.journal.sign(b"k" * 32, desk.clock())
    desk.clock.advance(days=KEY_LASTS.days + 1)
    read(desk)
    desk.make().look()
    channels(desk, 12, EXPIRED)
    for _ in range(3):
        desk.make().look()
        desk.clock.advance(hours=2)
    assert desk.kinds() == [("expiry", False)]
    assert {each.kind for each in desk.store.alerts.all() if not each.ended_at} == {
        "expiry",
        "silence",
    }


def test_another_cause_is_another_mail(desk: Desk) -> None:
    """What fails for another reason is told, and so is what becomes critical."""
    read(desk)
    channels(desk, 2, "the system user of {party} may not read skatt; grant it")
    alerter = desk.make()
    alerter.look()
    assert [each.kind for each in desk.bell.told] == ["unread"]
    desk.store.letters.add([stored_letter("a", ("erp",))])
    fail(desk, "the drop folder /srv/drop is read-only; mount it for writing")
    alerter.look()
    assert [(each.kind, each.critical) for each in desk.bell.told] == [
        ("unread", False),
        ("failing", True),
    ]
    desk.clock.advance(hours=4, minutes=1)
    read(desk)
    alerter.look()
    assert [(each.kind, each.critical) for each in desk.bell.told[2:]] == [("unread", True)]
    assert {each.kind for each in desk.store.alerts.all()} == {"unread", "failing", "undelivered"}


def fail(desk: Desk, reason: str) -> None:
    """Every delivery that is due fails."""
    for claim in desk.store.outbox.claim("me", desk.clock(), timedelta(minutes=1), 100):
        now = desk.clock()
        desk.store.outbox.end([results.deferred(claim, reason, now, now, now)])


def test_failures_that_may_pass_wait_a_while(desk: Desk) -> None:
    """A delivery that fails and may pass is told after a quarter of an hour, and one that is set up
    wrongly at once."""
    read(desk)
    desk.store.letters.add([stored_letter("a", ("erp",)), stored_letter("b", ("mail",))])
    fail(desk, "the receiver does not answer")
    alerter = desk.make()
    alerter.look()
    assert desk.kinds() == []
    desk.clock.advance(minutes=16)
    read(desk)
    alerter.look()
    assert desk.kinds() == [("failing", False)] * 2
    assert "erp" in desk.bell.told[0].subject + desk.bell.told[1].subject


def test_letters_and_listings_that_may_pass_are_told_apart(desk: Desk) -> None:
    """That a letter cannot be fetched is told although it is known that another organisation's
    letters cannot be listed: what may pass is one cause only where it is one thing."""
    alerter = desk.make()
    for hours in range(0, 10, 2):
        read(desk)
        channels(desk, 1, "Altinn answers with status 500", timedelta(hours=hours))
        if hours == 6:
            ref = envelope("x").ref
            state = SightingState.FAILING
            desk.store.letters.record_skipped(ref, state, desk.clock(), "its file is too short")
        alerter.look()
        desk.clock.advance(hours=2)
    assert [each.kind for each in desk.bell.told] == ["unread", "unread", "unfetched"]


def test_a_mailbox_and_a_destination_with_one_name_are_two_places(desk: Desk) -> None:
    """Both are told of, whatever they have in common."""
    reason = "proxy.example.com cannot be resolved (no such host); correct the name"
    read(desk)
    desk.store.letters.add([stored_letter("a", ("altinn",))])
    fail(desk, reason)
    channels(desk, 1, reason)
    desk.make().look()
    assert sorted(each.kind for each in desk.bell.told) == ["failing", "unread"]


def test_what_has_waited_for_long_has_not_failed_for_long(desk: Desk) -> None:
    """In a queue that is longer than the patience, a failure is told of after it has lasted, with
    the time at which it began, and a momentary one is not."""
    desk.store.letters.add([stored_letter("a", ("erp",))])
    desk.clock.advance(minutes=40)
    read(desk)
    fail(desk, "the receiver answers with status 503")
    began = desk.clock()
    alerter = desk.make()
    for minutes in (1, 13):
        alerter.look()
        assert desk.kinds() == []
        desk.clock.advance(minutes=minutes)
        fail(desk, "the receiver answers with status 503")
    desk.clock.advance(minutes=2)
    alerter.look()
    assert desk.kinds() == [("failing", False)]
    assert f"since {began:%Y-%m-%d %H:%M} UTC" in desk.bell.told[0].text


@pytest.mark.parametrize("held", [False, True])
def test_what_is_tried_again_does_not_fail_before_it_is_tried(desk: Desk, *, held: bool) -> None:
    """An operator who retries or releases deliveries is not told that they fail before they have
    been tried; what failed before they were given up does not count if they fail again."""
    reason = "the drop folder /srv/drop is read-only; mount it for writing"
    desk.store.letters.add([stored_letter("a", ("erp",))])
    if held:
        fail(desk, reason)
        desk.store.outbox.hold([each.id for each in desk.store.queries.deliveries()])
    else:
        [claim] = desk.store.outbox.claim("me", desk.clock(), timedelta(minutes=1), 1)
        desk.store.outbox.end([results.dead(claim, reason, desk.clock(), desk.clock())])
    ids = [each.id for each in desk.store.queries.deliveries()]
    desk.clock.advance(hours=2)
    read(desk)
    (desk.store.outbox.release if held else desk.store.outbox.retry)(ids, desk.clock())
    desk.make().look()
    assert desk.kinds() == []
    fail(desk, "the receiver answers with status 503")
    if not held:
        desk.make().look()
        assert desk.kinds() == []


@pytest.mark.parametrize(
    ("language", "subject", "line"),
    [
        ("en", "Postmottak: erp: 1 delivery fails", "What to do: mount it"),
        ("nb", "Postmottak: Leveringer feiler: erp", "Tiltak: mount it"),
        ("nn", "Postmottak: Leveringar feilar: erp", "Tiltak: mount it"),
    ],
)
def test_alerts_are_in_the_configured_language(
    desk: Desk, language: AlertLanguage, subject: str, line: str
) -> None:
    """What is around the cause and the remedy is in the language of `[alerts]`."""
    read(desk)
    desk.configuration = replace(
        desk.configuration,
        alerts=desk.configuration.alerts.model_copy(update={"language": language}),
    )
    desk.store.letters.add([stored_letter("a", ("erp",))])
    fail(desk, "the drop folder /srv/drop is read-only; mount it")
    desk.make().look()
    (told,) = desk.bell.told
    assert told.subject.startswith(subject)
    assert line in told.text.splitlines()
    assert "the drop folder /srv/drop is read-only" in told.text


def test_every_kind_has_words_in_every_language() -> None:
    """Each kind of problem that the documents list has its words in Norwegian."""
    table = OPERATING.read_text().partition("| kind |")[2].partition("\n\n")[0]
    listed = set(re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE))
    assert "failing" in listed
    for language in ("nb", "nn"):
        assert listed == alert_text._PHRASES[language].kinds.keys()
