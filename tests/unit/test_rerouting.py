"""Rerouting: covers that begin and end while letters wait, and an operator who decides anew."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from daemon.core.errors import NotFound, OperatorError
from daemon.core.model import Delivery, DeliveryState, MarkState, Policy, delivery_id, message_id
from daemon.core.parcels import Receipt
from daemon.intake.fetch import MarkPolicies
from daemon.intake.rerouting import Rerouter
from daemon.routing.decide import OPERATOR
from daemon.routing.table import Table, parse_table
from daemon.store import Store, results
from daemon.store.content import ContentStore
from tests.unit.conftest import NOW, SECRET, TAX, Clock, MemoryMailbox, new_intake, newest_decision

LEASE = timedelta(hours=1)
TEXT = """\
[[recipient]]
name = "kari"
deliver_to = ["archive", "mail"]

[[recipient]]
name = "ola"
deliver_to = ["erp"]

[[recipient]]
name = "per"
deliver_to = ["mail"]

[[route]]
name = "Fortrolig"
services = ["5504/1"]
to = ["per"]

[[route]]
name = "Skatt"
title_contains = ["skatt"]
to = ["kari"]

[[route]]
name = "Alt annet"
to = ["ola"]
"""
FOR_OLA = '[[delegation]]\nfrom = "kari"\nto = "ola"\nstarts = 2026-11-24\nends = 2026-11-25\n'
TO_OLA = TEXT.replace('to = ["kari"]', 'to = ["ola"]')


@dataclass
class Office:
    """A store that letters come into, and the table that is in force there."""

    store: Store
    content: ContentStore
    clock: Clock
    mailbox: MemoryMailbox = field(default_factory=lambda: MemoryMailbox(boxes=[TAX, SECRET]))
    table: Table = field(default_factory=lambda: parse_table(TEXT, "routing.toml", None))

    def put_in_force(self, text: str) -> None:
        """Let another table decide from now on."""
        self.table = parse_table(text, "routing.toml", None)
        self.store.letters.note_table(self.table.version, self.table.text, self.clock())

    def fetch(
        self, external_id: str = "a", policies: MarkPolicies | None = None, **changes: Any
    ) -> UUID:
        """A letter about tax, unless it is to be different, comes in now."""
        self.mailbox.publish(external_id, **{"title": "Skatt", **changes})
        summary = new_intake(self.store, self.content, self.clock, lambda: self.table).poll(
            self.mailbox, policies or MarkPolicies(), threading.Event()
        )
        assert summary.problems == []
        return message_id("altinn", external_id)

    def deliver(self, *destinations: str) -> None:
        """These destinations get what is due."""
        for claim in self.store.outbox.claim("me", self.clock(), LEASE, 99, only=destinations):
            assert self.store.outbox.end(
                [
                    results.delivered(
                        claim, Receipt(reference="x", details={}), self.clock(), self.clock()
                    )
                ]
            )

    def deliveries(self, external_id: str = "a") -> dict[str, list[Delivery]]:
        """The letter's deliveries that count, by destination, each destination's by generation."""
        found: dict[str, list[Delivery]] = {}
        for each in self.store.queries.deliveries(message_id=message_id("altinn", external_id)):
            if each.state is not DeliveryState.WITHDRAWN:
                found.setdefault(each.destination, []).append(each)
        return {
            name: sorted(each, key=lambda delivery: delivery.generation)
            for name, each in found.items()
        }

    def withdrawn(self, external_id: str = "a") -> dict[str, list[str]]:
        """The reasons of the attempts of each delivery that was withdrawn, by destination."""
        every = self.store.queries.deliveries(
            message_id=message_id("altinn", external_id), state=DeliveryState.WITHDRAWN
        )
        return {
            each.destination: [a.reason for a in self.store.queries.attempts(each.id)]
            for each in every
        }

    def try_in_vain(self, destination: str, times: int) -> None:
        """This many attempts of what is due at the destination fail, for now."""
        for number in range(1, times + 1):
            (claim,) = self.store.outbox.claim("me", self.clock(), LEASE, 9, only=[destination])
            now = self.clock()
            self.store.outbox.end([results.deferred(claim, f"no answer {number}", now, now, now)])

    def goes_to(self, external_id: str = "a") -> dict[str, tuple[str, ...]]:
        """What waits: destinations, and on whose behalf."""
        every = (each for some in self.deliveries(external_id).values() for each in some)
        return {
            each.destination: tuple(each.recipients)
            for each in every
            if each.state is DeliveryState.PENDING
        }

    @property
    def rerouter(self) -> Rerouter:
        """Decides anew, by the table in force."""
        return Rerouter(store=self.store, table=lambda: self.table, clock=self.clock)


@pytest.fixture(name="office")
def new_office(store: Store, content: ContentStore, clock: Clock) -> Office:
    """An office with its table in force."""
    office = Office(store, content, clock)
    office.put_in_force(TEXT)
    return office


def test_a_letter_that_waits_follows_a_cover_and_comes_back(office: Office) -> None:
    """What waits goes to whoever covers from the day on which the cover begins, and back again when
    it has ended."""
    office.fetch()
    assert office.goes_to() == {"archive": ("kari",), "mail": ("kari",)}
    office.put_in_force(TEXT + FOR_OLA)
    assert (office.rerouter.follow_covers(), office.goes_to()) == (1, {"erp": ("ola",)})
    assert office.rerouter.follow_covers() == 0
    office.clock.advance(days=2)
    assert (office.rerouter.follow_covers(), office.goes_to()) == (
        1,
        {"archive": ("kari",), "mail": ("kari",)},
    )
    assert office.rerouter.follow_covers() == 0
    assert {delivery.id for (delivery,) in office.deliveries().values()} == {
        delivery_id(message_id("altinn", "a"), destination, 2)
        for destination in ("archive", "mail")
    }


THREE = ["no answer 1", "no answer 2", "no answer 3"]


@pytest.mark.parametrize("by", ["a cover", "the table", "an operator"])
def test_attempts_outlive_a_withdrawal(office: Office, by: str) -> None:
    """Whatever withdraws a delivery, it and all its attempts can still be shown."""
    key = office.fetch()
    office.try_in_vain("mail", 3)
    if by == "a cover":
        office.put_in_force(TEXT + FOR_OLA)
        office.rerouter.follow_covers()
    elif by == "the table":
        office.put_in_force(TO_OLA)
        office.rerouter.apply(NOW)
    else:
        office.rerouter.route(key, "ola")
    assert office.goes_to() == {"erp": ("ola",)}
    assert office.withdrawn() == {"archive": [], "mail": THREE}
    shown = office.store.queries.delivery(str(delivery_id(key, "mail", 1)))
    assert (shown.state, shown.attempts, shown.last_error) == ("withdrawn", 3, "no answer 3")


def test_generations_go_on_after_a_withdrawal(office: Office) -> None:
    """Back at a destination from which it was withdrawn, a letter is a delivery of its own."""
    key = office.fetch()
    office.try_in_vain("mail", 3)
    office.rerouter.route(key, "ola")
    office.rerouter.route(key, "kari")
    office.put_in_force(TEXT + FOR_OLA)
    assert office.goes_to() == {"archive": ("kari",), "mail": ("kari",)}
    assert [each.generation for (each,) in office.deliveries().values()] == [2, 2]
    office.rerouter.follow_covers()
    office.clock.advance(days=2)
    office.rerouter.follow_covers()
    assert [each.generation for (each,) in office.deliveries().values()] == [3, 3]
    office.deliver("archive", "mail")
    assert office.store.outbox.resend([delivery_id(key, "mail", 3)], office.clock()) == [
        delivery_id(key, "mail", 4)
    ]


@pytest.mark.parametrize("act", ["retry", "hold", "release", "resend"])
def test_an_operator_cannot_revive_a_withdrawn_delivery(office: Office, act: str) -> None:
    """The refusal says what happened to the delivery and what to do instead."""
    key = office.fetch()
    office.rerouter.route(key, "ola")
    ids = [delivery_id(key, "mail", 1)]
    outbox = office.store.outbox
    with pytest.raises(OperatorError, match=r"was withdrawn.*postmottak messages route"):
        outbox.hold(ids) if act == "hold" else getattr(outbox, act)(ids, NOW)
    assert office.goes_to() == {"erp": ("ola",)}


def test_a_withdrawn_delivery_is_not_in_the_outbox(office: Office) -> None:
    """It is counted and listed by its own name, and nowhere as something that waits or is dead."""
    key = office.fetch()
    office.rerouter.route(key, "ola")
    queries = office.store.queries
    assert queries.unfinished() == {DeliveryState.PENDING: 1}
    assert queries.queues() == {("erp", DeliveryState.PENDING): 1}
    assert list(queries.oldest_waiting()) == ["erp"]
    assert queries.counts().deliveries[DeliveryState.WITHDRAWN] == 2
    office.deliver("erp")
    assert office.store.outbox.next_due() is None
    assert queries.counts().oldest_undelivered_at is None


def test_what_a_cover_withdrew_is_remembered(office: Office) -> None:
    """The decision says which deliveries gave way to a cover, with their attempts and the last
    reason."""
    office.fetch()
    (claim,) = office.store.outbox.claim("me", NOW, LEASE, 9, only=["mail"])
    office.store.outbox.end([results.deferred(claim, "nobody is at home", NOW, NOW, NOW)])
    office.put_in_force(TEXT + FOR_OLA)
    office.rerouter.follow_covers()
    decision = newest_decision(office.store, "a")
    assert (decision.number, decision.chosen) == (1, ["kari"])
    covered = {
        each["destination"]: (each["state"], each["attempts"], each["error"])
        for each in decision.why["covered"]
    }
    assert covered == {"archive": ("pending", 0, None), "mail": ("pending", 1, "nobody is at home")}


@pytest.mark.parametrize(
    "state", [DeliveryState.CLAIMED, DeliveryState.DELIVERED, DeliveryState.DEAD]
)
def test_what_does_not_wait_follows_no_cover(office: Office, state: DeliveryState) -> None:
    """What is under way, delivered or dead stays as it is; what waits beside it goes to whoever
    covers."""
    key = office.fetch()
    mail = delivery_id(key, "mail", 1)
    (claim,) = office.store.outbox.claim("me", NOW, LEASE, 9, only=["mail"])
    if state is DeliveryState.DELIVERED:
        office.store.outbox.end(
            [results.delivered(claim, Receipt(reference="x", details={}), NOW, NOW)]
        )
    elif state is DeliveryState.DEAD:
        office.store.outbox.end([results.dead(claim, "never", NOW, NOW)])
    before = office.store.queries.delivery(str(mail))
    office.put_in_force(TEXT + FOR_OLA)
    assert (office.rerouter.follow_covers(), office.goes_to()) == (1, {"erp": ("ola",)})
    assert office.store.queries.delivery(str(mail)) == before


def test_what_is_held_follows_a_cover_and_stays_held(office: Office) -> None:
    """A letter that an operator put aside goes to whoever covers when it is released, and not
    before."""
    key = office.fetch()
    office.store.outbox.hold([delivery_id(key, name, 1) for name in ("archive", "mail")])
    office.put_in_force(TEXT + FOR_OLA)
    assert (office.rerouter.follow_covers(), office.goes_to()) == (1, {})
    assert states(office, ["erp"]) == [[DeliveryState.HELD]]
    office.store.outbox.release([delivery_id(key, "erp", 1)], NOW)
    assert (office.rerouter.follow_covers(), office.goes_to()) == (0, {"erp": ("ola",)})


def test_a_cover_at_the_same_destination(office: Office) -> None:
    """Where both are reached through one destination, what waits there is for whoever covers, and
    no longer for the other."""
    office.fetch()
    office.put_in_force(TEXT + FOR_OLA.replace('to = "ola"', 'to = "per"'))
    assert (office.rerouter.follow_covers(), office.goes_to()) == (1, {"mail": ("per",)})


def test_a_cover_that_leaves_a_copy(office: Office) -> None:
    """Whoever covers gets what waits, also where the other keeps a copy."""
    office.fetch()
    office.put_in_force(TEXT + FOR_OLA + "keep_copy = true\n")
    assert office.rerouter.follow_covers() == 1
    assert office.goes_to() == {"erp": ("ola",), "archive": ("kari",), "mail": ("kari",)}
    assert office.rerouter.follow_covers() == 0


def test_a_recipient_that_left_the_table(office: Office) -> None:
    """What waits for somebody whom the table no longer knows stays where it is, until an operator
    decides."""
    office.fetch()
    office.put_in_force(TO_OLA.replace('name = "kari"', 'name = "karin"'))
    assert (office.rerouter.follow_covers(), office.goes_to()) == (
        0,
        {"archive": ("kari",), "mail": ("kari",)},
    )


def test_a_letter_that_has_arrived_follows_no_cover(office: Office) -> None:
    """A cover that begins when everything is delivered changes nothing."""
    office.fetch()
    office.deliver("archive", "mail")
    office.put_in_force(TEXT + FOR_OLA)
    assert (office.rerouter.follow_covers(), office.goes_to()) == (0, {})


def test_routing_a_letter_anew_sends_it_again(office: Office) -> None:
    """An operator who routes a letter anew has it delivered again, as a new generation, also where
    it has arrived."""
    key = office.fetch()
    office.deliver("archive", "mail")
    applied = office.rerouter.route(key, None)
    assert (applied.letters, applied.added, applied.withdrawn) == (
        1,
        {key: ("archive", "mail")},
        {key: ()},
    )
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
    assert (applied.added, applied.withdrawn) == ({key: ("erp",)}, {key: ("mail",)})
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
    """Routing anew what waits already, and belongs where it waits, makes no second delivery."""
    key = office.fetch()
    assert office.rerouter.route(key, None).added == {key: ()}
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
    applied = office.rerouter.apply(since)
    assert (applied.letters, applied.added) == (2, {moved: ("erp",)})
    assert {key: sorted(names) for key, names in applied.withdrawn.items()} == {
        moved: ["archive", "mail"]
    }
    assert [office.goes_to(name) for name in ("early", "a", "b")] == [
        {"archive": ("kari",), "mail": ("kari",)}, {"erp": ("ola",)}, {"erp": ("ola",)},
    ]  # fmt: skip  # one line reads as the three letters
    assert stays not in applied.added
    assert office.rerouter.apply(since).added == {}


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
    assert office.rerouter.apply(NOW).added == {key: ("erp",)}
    assert states(office, ("archive", "mail", "erp")) == [
        [DeliveryState.DELIVERED],
        [DeliveryState.DELIVERED],
        [DeliveryState.PENDING],
    ]


@pytest.mark.parametrize("under_way", [False, True], ids=["delivered", "under way"])
def test_applying_reaches_somebody_new_at_the_same_destination(
    office: Office, under_way: bool
) -> None:
    """Where the destination got the letter for somebody else, it gets it once more for whoever has
    it now, and no third time."""
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
    assert office.rerouter.apply(NOW).added == {key: ("mail",)}
    assert [(each.generation, each.recipients) for each in office.deliveries()["mail"]] == [
        (1, ["kari"]),
        (2, ["per"]),
    ]
    office.deliver("mail")
    assert office.rerouter.apply(NOW).added == {}


def states(office: Office, destinations: Sequence[str]) -> list[list[DeliveryState]]:
    """How the deliveries of each destination stand."""
    return [[each.state for each in office.deliveries()[name]] for name in destinations]


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


def test_what_was_withdrawn_keeps_no_mark_and_no_letter(office: Office) -> None:
    """A letter that all others have is called read, whatever became of a delivery that was dead;
    one that nobody has got is not."""
    key = office.fetch(policies=MarkPolicies(read=Policy.DELIVERED))
    office.try_in_vain("mail", 1)
    office.rerouter.route(key, "ola")
    assert office.store.queries.marks(key)[0].state is MarkState.WAITING
    assert not list(office.store.retention.candidates(office.clock()))
    office.deliver("erp")
    (mark,) = office.store.queries.marks(key)
    assert mark.state is MarkState.DUE
    office.store.marks.done(mark, office.clock())
    assert [each.message_id for each in office.store.retention.candidates(office.clock())] == [key]


def test_a_rejected_letter_stays_when_its_repeat_was_withdrawn(office: Office) -> None:
    """A delivery that was withdrawn does not stand for the rejected one before it."""
    key = office.fetch(title="Annet")
    office.deliver("erp")
    first = delivery_id(key, "erp", 1)
    office.store.outbox.picked_up(first, office.clock(), "nei")
    office.store.outbox.resend([first], office.clock())
    office.rerouter.route(key, "per")
    office.deliver("mail")
    assert [each.state for each in office.deliveries()["erp"]] == [DeliveryState.DELIVERED]
    assert not list(office.store.retention.candidates(office.clock()))
