"""Rerouting: an operator routes a letter again, or applies a new table to letters that wait."""

from __future__ import annotations

import pytest

from daemon.core.errors import NotFound, OperatorError
from daemon.core.model import DeliveryState, MarkState, Policy, delivery_id
from daemon.core.parcels import Receipt
from daemon.intake.new_letter import MarkPolicies
from daemon.intake.rerouting import Rerouter
from daemon.routing.decide import OPERATOR
from daemon.routing.table import Table
from daemon.store import results
from tests.unit.conftest import NOW, SECRET, newest_decision
from tests.unit.office import (
    LEASE,
    TEXT,
    TO_OLA,
    Office,
    new_office,  # noqa: F401  # a fixture
    states,
)

pytestmark = pytest.mark.both_databases


def test_routing_a_letter_again_sends_it_again(office: Office) -> None:
    """An operator who routes a letter again has it delivered again, as a new generation, also where
    it has arrived."""
    key = office.fetch()
    office.deliver("archive", "mail")
    applied = office.rerouter.route(key, None)
    assert (applied.added, applied.withdrawn) == (("archive", "mail"), ())
    first, second = office.deliveries()["mail"]
    assert (first.generation, first.state, first.decision) == (1, DeliveryState.DELIVERED, 1)
    assert (second.generation, second.state, second.decision) == (2, DeliveryState.PENDING, 2)
    assert second.id == delivery_id(key, "mail", 2)
    assert [(each.number, each.route) for each in office.store.queries.decisions(key)] == [
        (1, "Skatt"),
        (2, "Skatt"),
    ]
    (claim,) = office.store.outbox.claim("me", NOW, LEASE, 9, only=["mail"])
    assert (claim.delivery.generation, claim.decision.number) == (2, 2)


def test_routing_a_letter_to_somebody(office: Office) -> None:
    """An operator can name the recipient; what was delivered stays recorded, and what waits for
    others is withdrawn and remembered."""
    key = office.fetch()
    office.deliver("archive")
    applied = office.rerouter.route(key, "ola")
    assert (applied.added, applied.withdrawn) == (("erp",), ("mail",))
    assert office.goes_to() == {"erp": ("ola",)}
    assert [each.state for each in office.deliveries()["archive"]] == [DeliveryState.DELIVERED]
    decision = newest_decision(office.store, "a")
    assert (decision.number, decision.route, decision.recipients) == (2, OPERATOR, ["ola"])
    assert [each["destination"] for each in decision.why["withdrawn"]] == ["mail"]


@pytest.mark.parametrize("state", [DeliveryState.HELD, DeliveryState.DEAD])
def test_routing_withdraws_what_is_held_or_dead(office: Office, state: DeliveryState) -> None:
    """What is held or dead goes where the operator says, and says in the decision how it stood."""
    key = office.fetch(title="Annet")
    erp = delivery_id(key, "erp", 1)
    if state is DeliveryState.HELD:
        office.store.outbox.hold([erp])
    else:
        (claim,) = office.store.outbox.claim("me", NOW, LEASE, 9)
        office.store.outbox.end([results.dead(claim, "never", NOW, NOW)])
    office.rerouter.route(key, "per")
    assert office.goes_to() == {"mail": ("per",)}
    assert set(office.deliveries()) == {"mail"}
    assert [each["state"] for each in newest_decision(office.store, "a").why["withdrawn"]] == [
        state.value
    ]


def test_routing_to_somebody_at_the_same_destination(office: Office) -> None:
    """A delivery that waits at the right destination for the wrong recipient becomes one for the
    right."""
    key = office.fetch()
    office.rerouter.route(key, "per")
    assert office.goes_to() == {"mail": ("per",)}


def test_a_delivery_that_waits_is_not_doubled(office: Office) -> None:
    """Routing again what waits already, and belongs where it waits, makes no second delivery."""
    key = office.fetch()
    assert office.rerouter.route(key, None).added == ()
    assert [each.generation for some in office.deliveries().values() for each in some] == [1, 1]


def test_routing_to_nobody_that_is_known(office: Office) -> None:
    """A recipient that the table does not know is told with the nearest that it does, and nothing
    is changed."""
    key = office.fetch()
    with pytest.raises(NotFound, match=r"'kary' is not a recipient .*; did you mean 'kari'\?"):
        office.rerouter.route(key, "kary")
    assert newest_decision(office.store, "a").number == 1


def test_a_confidential_letter_goes_to_the_appointed_only(office: Office) -> None:
    """No operator's slip sends a confidential letter to somebody whom no route for confidential
    post appoints."""
    key = office.fetch("s", channel=SECRET, confidential=True)
    assert office.goes_to("s") == {"mail": ("per",)}
    with pytest.raises(OperatorError, match=r"confidential.*'kari'"):
        office.rerouter.route(key, "kari")
    office.put_in_force(
        TEXT.replace('services = ["5504/1"]', 'services = ["5504/1"]\nenabled = false')
    )
    with pytest.raises(OperatorError, match="no route appoints"):
        office.rerouter.route(key, None)
    assert (office.goes_to("s"), newest_decision(office.store, "s").number) == (
        {"mail": ("per",)},
        1,
    )


def test_applying_changes_only_what_the_table_changes(office: Office) -> None:
    """Letters that belong elsewhere by the present table go there; others, and what came before,
    stay as they are."""
    office.fetch("early")
    office.clock.advance(days=1)
    since = office.clock()
    moved, stays = office.fetch("a"), office.fetch("b", title="Annet")
    office.put_in_force(TO_OLA)
    assert office.rerouter.preview(since).letters == 2
    applied = office.apply(since)
    assert [(key, each.added) for key, each in applied.items()] == [(moved, ("erp",))]
    assert sorted(applied[moved].withdrawn) == ["archive", "mail"]
    assert [office.goes_to(name) for name in ("early", "a", "b")] == [
        {"archive": ("kari",), "mail": ("kari",)}, {"erp": ("ola",)}, {"erp": ("ola",)},
    ]  # fmt: skip  # one line reads as the three letters
    assert stays not in applied
    assert office.apply(since) == {}


def test_applying_sends_nothing_twice(office: Office) -> None:
    """A letter that has arrived where it now belongs does not go there again, and what was
    delivered elsewhere stays recorded."""
    key = office.fetch()
    office.deliver("archive", "mail")
    office.put_in_force(
        TEXT.replace(
            'title_contains = ["skatt"]\nto = ["kari"]',
            'title_contains = ["skatt"]\nto = ["kari", "ola"]',
        )
    )
    assert {key: each.added for key, each in office.apply(NOW).items()} == {key: ("erp",)}
    assert states(office, ("archive", "mail", "erp")) == [
        [DeliveryState.DELIVERED],
        [DeliveryState.DELIVERED],
        [DeliveryState.PENDING],
    ]


@pytest.mark.parametrize("under_way", [False, True], ids=["delivered", "under way"])
def test_applying_reaches_somebody_new_at_the_same_destination(
    office: Office, under_way: bool
) -> None:
    """Where the destination got the letter for somebody else, it gets it once more for the
    recipient who has it now, and no third time."""
    key = office.fetch()
    office.deliver("archive")
    (claim,) = office.store.outbox.claim("me", NOW, LEASE, 9, only=["mail"])
    if not under_way:
        office.store.outbox.end(
            [results.delivered(claim, Receipt(reference="x", details={}), NOW, NOW)]
        )
    office.put_in_force(
        TEXT.replace(
            'title_contains = ["skatt"]\nto = ["kari"]', 'title_contains = ["skatt"]\nto = ["per"]'
        )
    )
    assert {key: each.added for key, each in office.apply(NOW).items()} == {key: ("mail",)}
    assert [(each.generation, each.recipients) for each in office.deliveries()["mail"]] == [
        (1, ["kari"]),
        (2, ["per"]),
    ]
    office.deliver("mail")
    assert office.apply(NOW) == {}


def test_a_mark_waits_for_what_is_left(office: Office) -> None:
    """Where the last delivery that was missing is withdrawn, the sender may be told; the others
    have the letter."""
    key = office.fetch(policies=MarkPolicies(read=Policy.DELIVERED))
    office.deliver("archive", "mail")
    (mark,) = office.store.queries.marks(key)
    assert mark.state is MarkState.DUE
    other = office.fetch("b", MarkPolicies(read=Policy.DELIVERED))
    office.deliver("archive")
    office.put_in_force(
        TEXT.replace('deliver_to = ["archive", "mail"]', 'deliver_to = ["archive"]')
    )
    assert office.store.queries.marks(other)[0].state is MarkState.WAITING
    office.rerouter.follow_covers()
    assert office.store.queries.marks(other)[0].state is MarkState.DUE


def test_a_table_that_was_is_kept_with_its_decisions(office: Office) -> None:
    """Each decision names the table that made it, and both tables can still be shown."""
    key = office.fetch()
    first = office.table.version
    office.put_in_force(TO_OLA)
    office.rerouter.apply(NOW)
    versions = [each.routing_version for each in office.store.queries.decisions(key)]
    assert versions == [first, office.table.version]
    assert all(office.store.queries.table(version) for version in versions)


def test_a_letter_that_is_moved_while_it_is_handed_over(office: Office) -> None:
    """It stays where the person sent it who was faster."""
    key = office.fetch()
    moves = iter(["per"])

    def table() -> Table:
        for name in moves:
            office.rerouter.route(key, name)
        return office.table

    Rerouter(store=office.store, table=table, clock=office.clock).replace(key, "kari", "ola")
    assert newest_decision(office.store, "a").recipients == ["per"]
