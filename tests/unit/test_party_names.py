"""What an organisation was called when a letter came: recorded once, explained by ever after."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

import pytest

from daemon.config.loader import MailboxConfiguration
from daemon.core.notice_ids import NOTICE_SUFFIX
from daemon.core.parties import MailboxParty
from daemon.core.settings import MailboxSettings
from daemon.intake.new_letter import MarkPolicies
from daemon.intake.party_names import KnownNames
from daemon.intake.rerouting import facts_of_stored
from daemon.routing.explain import explain
from daemon.routing.table import Table
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from tests.unit.conftest import (
    NOW,
    PARTY,
    SECRET,
    TABLE_TEXT,
    TAX,
    Clock,
    new_intake,
    newest_decision,
    table_of,
)
from tests.unit.memory import MemoryMailbox

pytestmark = pytest.mark.both_databases

BY_NAME = '[[route]]\nname = "bakeri"\nparty_name = ["* bakeri as"]\nto = ["regnskap"]\n'
BY_NAME_SECRETLY = BY_NAME.replace("bakeri", "hemmelig bakeri", 1) + 'services = ["5504/1"]\n'
TABLE = table_of(TABLE_TEXT.replace("[[route]]", BY_NAME + "[[route]]", 1))
SECRETS = table_of(TABLE_TEXT.replace("[[route]]", BY_NAME_SECRETLY + "[[route]]", 1))
LISTED = replace(SECRET, fetch_confidential=False)


class ListedSettings(MailboxSettings):
    """Settings of a mailbox whose organisations are listed."""

    parties: tuple[str, ...]


def call(store: Store, name: str, party: str = PARTY) -> None:
    store.mailbox_parties.save(
        [MailboxParty(mailbox="memory", party=party, name=name, found_at=NOW)]
    )


def known(store: Store, **configured: str) -> KnownNames:
    settings = MailboxSettings(party_names={PARTY: configured["name"]} if configured else {})
    return KnownNames(
        store, [MailboxConfiguration(name="memory", type="folder", settings=settings)]
    )


@dataclass(frozen=True)
class Desk:
    """Rounds of a mailbox with two channels, with a table that routes by name."""

    store: Store
    content: ContentFolder
    clock: Clock
    mailbox: MemoryMailbox

    def poll(self, table: Table, names: KnownNames) -> None:
        self.store.letters.note_table(table.version, table.text, NOW)
        intake = new_intake(self.store, self.content, self.clock, lambda: table, names=names)
        intake.poll(self.mailbox, MarkPolicies(), threading.Event())


@pytest.fixture(name="desk")
def new_desk(store: Store, content: ContentFolder, clock: Clock) -> Desk:
    """A desk with an ordinary and a confidential channel."""
    return Desk(store, content, clock, MemoryMailbox(name="memory", boxes=[TAX, LISTED]))


def test_a_new_name_changes_no_earlier_explanation(desk: Desk, store: Store) -> None:
    """What the organisation was called is kept with the letter: a rerun explains it alike after
    Dialogporten calls it something else, and the next letter goes by the new name."""
    call(store, "Nordre Bakeri AS")
    desk.mailbox.publish("a")
    names = known(store)
    desk.poll(TABLE, names)
    call(store, "Søndre Bank ASA")
    for each in (1, 2):
        stored = store.decisions.decided(store.queries.message("a").id)
        facts = facts_of_stored(stored, stored.decision.decided_at)
        assert (facts.party_name, each) == ("Nordre Bakeri AS", each)
        found = explain(TABLE, facts)
        assert found.decision
        assert found.decision.route == stored.decision.route == "bakeri"
        assert found.decision.why == stored.decision.why
    outline = store.decisions.outline(stored.message.id)
    assert outline
    assert outline.facts.party_name == "Nordre Bakeri AS"
    desk.mailbox.publish("b")
    desk.poll(TABLE, known(store))
    assert newest_decision(store, "b").route != "bakeri"


def test_a_name_that_is_found_later_is_not_missed(desk: Desk, store: Store) -> None:
    """An organisation without a name is looked up for every letter: the first letter after the name
    is known, here by another process, is routed by it."""
    names = known(store)
    desk.mailbox.publish("a")
    desk.poll(TABLE, names)
    assert newest_decision(store, "a").route != "bakeri"
    call(store, "Nordre Bakeri AS")
    desk.mailbox.publish("b")
    desk.poll(TABLE, names)
    assert newest_decision(store, "b").route == "bakeri"


def test_the_configuration_comes_first(desk: Desk, store: Store) -> None:
    """A name in `party_names` is used whatever Dialogporten says, and is in the letter's document
    and no other letter's."""
    call(store, "Søndre Bank ASA")
    desk.mailbox.publish("a")
    desk.poll(TABLE, known(store, name="Nordre Bakeri AS"))
    assert newest_decision(store, "a").route == "bakeri"
    assert store.queries.message("a").party_name == "Nordre Bakeri AS"


def test_what_a_store_cannot_keep(desk: Desk, store: Store) -> None:
    """A name with half a character in it holds up no letter."""
    desk.mailbox.publish("a")
    desk.poll(TABLE, known(store, name="x\ud800 bakeri as"))
    assert newest_decision(store, "a").route == "bakeri"


def test_a_notice_goes_by_the_name(desk: Desk, store: Store) -> None:
    """So does the notice of a confidential letter that is only listed."""
    call(store, "Nordre Bakeri AS")
    desk.mailbox.publish("s", channel=LISTED)
    desk.poll(SECRETS, known(store))
    notice = store.queries.message(f"s{NOTICE_SUFFIX}")
    assert notice.party_name == "Nordre Bakeri AS"
    assert newest_decision(store, notice.external_id).route == "hemmelig bakeri"


def test_the_names_of_listed_organisations_are_looked_up_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the configuration lists the organisations, nobody finds names: a letter costs no
    query."""
    settings = ListedSettings(parties=(PARTY,))
    names = KnownNames(
        store, [MailboxConfiguration(name="memory", type="folder", settings=settings)]
    )
    asked: list[str] = []

    def name_of(_: object, __: str, party: str) -> str:
        asked.append(party)
        return ""

    monkeypatch.setattr(type(store.mailbox_parties), "name_of", name_of)
    assert [names("memory", PARTY) for _ in range(3)] == ["", "", ""]
    assert len(asked) == 1
