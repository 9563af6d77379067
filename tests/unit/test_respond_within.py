"""A route's `respond_within` gives its letters a deadline, which stays when they are moved."""

from __future__ import annotations

from datetime import date

from daemon.core.deadlines import DeadlineSource, end_of_day
from tests.unit.conftest import newest_decision
from tests.unit.office import (
    TEXT,
    Office,
    new_office,  # noqa: F401  # a fixture
)

WITH_TERM = TEXT.replace('name = "Skatt"', 'name = "Skatt"\nrespond_within = "15wd"', 1)
DUE = end_of_day(date(2026, 12, 15))  # fifteen working days after the 24th of November


def test_a_letter_gets_the_term_of_its_route(office: Office) -> None:
    """From its publishing, in working days, with the table's own words; other letters get none."""
    office.put_in_force(WITH_TERM)
    key, other = office.fetch(), office.fetch("b", title="Annet")
    holds = office.store.deadlines.facts(key).holds
    assert holds
    assert (holds.due_at, holds.source, holds.reason) == (DUE, DeadlineSource.COMPUTED, "15wd")
    assert newest_decision(office.store, "a").why["respond_within"] == "15wd"
    assert office.store.deadlines.facts(other).holds is None


def test_moving_a_letter_keeps_its_deadline(office: Office) -> None:
    """An operator who sends the letter elsewhere takes no deadline back."""
    office.put_in_force(WITH_TERM)
    key = office.fetch()
    office.rerouter.route(key, "ola")
    holds = office.store.deadlines.facts(key).holds
    assert holds
    assert (holds.due_at, holds.reason) == (DUE, "15wd")


def test_deciding_again_follows_the_table(office: Office) -> None:
    """A later decision by the table gives the deadline that its route says, or none."""
    key = office.fetch()
    assert office.store.deadlines.facts(key).holds is None
    office.put_in_force(WITH_TERM)
    office.rerouter.route(key, None)
    assert office.store.deadlines.facts(key).holds
    office.put_in_force(TEXT)
    office.rerouter.route(key, None)
    assert office.store.deadlines.facts(key).holds is None
