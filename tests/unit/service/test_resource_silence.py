"""A registry that does not answer, or a right that is missing, costs no resource and no letter."""

from __future__ import annotations

from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from daemon.core.errors import MailboxUnavailable
from tests.unit.conftest import NOW
from tests.unit.service.watched_resources import (
    DAY,
    PLAN,
    TAX,
    Watched,
    new_watched,  # noqa: F401  # a fixture
)


def test_a_registry_that_never_answers_is_a_problem(watched: Watched) -> None:
    """At a first start nothing is known, so that its silence is told at once; later it is when the
    answer has been due for some hours. The next answer ends it, and no other problem does."""
    found, watched.mailbox.answer = watched.mailbox.answer, MailboxUnavailable("it is down")
    watched.refresh()
    assert "has not answered yet" in watched.text()
    assert "it is down" in watched.text()
    watched.restart()
    watched.refresh()
    assert "has not answered yet" in watched.text()
    watched.mailbox.answer = found
    watched.refresh()
    assert watched.text() == ""
    watched.mailbox.answer = MailboxUnavailable("it is down")
    watched.refresh(DAY)
    assert watched.text() == ""
    watched.refresh(timedelta(hours=7))
    assert "has not answered since 2" in watched.text()
    watched.mailbox.answer = {TAX: ["skatt"], PLAN: ["plan"]}
    watched.refresh()
    assert "new, and read from now on: plan" in watched.text()


def test_what_has_been_refused_for_a_month_is_given_up(watched: Watched) -> None:
    """A resource that is neither listed nor readable for thirty days, while the party reads another
    one, is retired, which the log and a problem tell; one that can be read is kept for ever."""
    watched.refresh()
    watched.read(TAX, "skatt")
    watched.mailbox.answer = {TAX: ["ny"]}
    watched.refresh(40 * DAY)
    assert watched.mailbox.using == {TAX: ["ny", "skatt"]}
    watched.read(TAX, "ny")
    watched.read(TAX, "skatt", problem="refused", refused=True)
    with capture_logs() as logs:
        watched.refresh(DAY)
    assert watched.mailbox.using == {TAX: ["ny"]}
    assert [each["resources"] for each in logs if "any more" in each["event"]] == ["skatt (4255/8)"]
    watched.refresh(DAY)
    watched.restart()
    assert "not read any more" in watched.text()
    assert "skatt (4255/8)" in watched.text()
    watched.refresh(40 * DAY)
    assert watched.text() == ""


@pytest.mark.parametrize("refused", [True, False], ids=["key expired", "down"])
def test_an_outage_of_a_month_gives_nothing_up(watched: Watched, refused: bool) -> None:
    """What stops every channel of a party says nothing about one resource: all of them are read on,
    before and after the registry answers again."""
    watched.refresh()
    watched.read(TAX, "skatt")
    watched.read(PLAN, "plan")
    watched.mailbox.answer = {TAX: ["ny"]}
    watched.refresh(DAY)
    for resource, service in (("skatt", TAX), ("plan", PLAN)):
        watched.now += 20 * DAY
        watched.read(service, resource, problem="no token", refused=refused)
    watched.restart()
    assert watched.mailbox.using == {TAX: ["ny", "skatt"], PLAN: ["plan"]}
    watched.refresh()
    assert watched.mailbox.using == {TAX: ["ny", "skatt"], PLAN: ["plan"]}
    assert watched.retired() == set()


def test_what_fails_without_a_refusal_is_never_given_up(watched: Watched) -> None:
    """A list that Altinn fails to answer for a month may still have letters."""
    watched.refresh()
    watched.read(TAX, "skatt")
    watched.mailbox.answer = {TAX: ["ny"]}
    watched.refresh(40 * DAY)
    watched.read(TAX, "ny")
    watched.read(TAX, "skatt", problem="answered 500")
    watched.refresh(DAY)
    assert watched.mailbox.using == {TAX: ["ny", "skatt"]}


def test_a_start_gives_nothing_up(watched: Watched) -> None:
    """Before the registry has answered, what was read is read, however long it was refused."""
    watched.refresh()
    watched.read(TAX, "skatt")
    watched.mailbox.answer = {TAX: ["ny"]}
    watched.refresh(40 * DAY)
    watched.read(TAX, "ny")
    watched.read(TAX, "skatt", problem="refused", refused=True)
    watched.restart()
    assert watched.mailbox.using == {TAX: ["ny", "skatt"]}


def test_a_new_resource_is_listed_from_the_last_answer(watched: Watched) -> None:
    """Letters that came while the registry did not answer, or while the service was down, are not
    passed over because they are older than a first listing usually goes back."""
    watched.refresh()
    watched.read(TAX, "skatt")
    watched.mailbox.answer = {TAX: ["skatt", "ny"]}
    watched.refresh(60 * DAY)
    assert watched.begins_at(TAX, "ny") == NOW - 7 * DAY
    watched.mailbox.answer = {TAX: ["skatt", "ny"], PLAN: ["plan"]}
    watched.refresh(DAY)
    assert watched.begins_at(PLAN, "plan") is None
    assert watched.begins_at(TAX, "ny") == NOW - 7 * DAY


def test_a_late_first_answer_counts_from_the_first_start(watched: Watched) -> None:
    """If the registry has never answered, its resources are listed from when the first attempts to
    read anything went back to; on another platform, the first start is today's."""
    watched.mailbox.answer = MailboxUnavailable("it is down")
    watched.refresh()
    watched.read(PLAN, "guess-4255/1", problem="refused", refused=True)
    bookmark = watched.bookmark(PLAN, "guess-4255/1")
    bookmark.begins_at = NOW - 30 * DAY
    watched.store.bookmarks.save([bookmark])
    watched.mailbox.answer = {TAX: ["skatt"]}
    watched.refresh(90 * DAY)
    assert watched.begins_at(TAX, "skatt") == NOW - 30 * DAY
    watched.mailbox.resource_question = ("https://other.example", TAX)
    watched.mailbox.answer = {TAX: ["annet"]}
    watched.restart()
    watched.refresh()
    assert watched.begins_at(TAX, "annet") is None
