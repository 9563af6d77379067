"""Lets dialogs of all kinds come in bad times, and checks that every letter is stored once.

Two mailboxes, of letters in Correspondence and of letters in dialogs, read two organisations by a
bell that lies, in a storm in which every tenth call fails, while rights are lost and regained and
the service is started again. At the end every letter must be stored once, none be seen, and every
one be counted by the way it was found.

    python -m tests.sweeps.dialog_sweep [DIALOGS] [--seed N] [--report FILE]
"""

from __future__ import annotations

import argparse
import logging
import platform
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from connectors.sandbox.altinn3 import faults
from connectors.sandbox.altinn3.access import RECIPIENT_SCOPES
from connectors.sandbox.altinn3.server import FakeAltinn
from connectors.sandbox.dialogs import PretendTransmission
from daemon.intake.bell_rounds import BellRounds
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from tests.connectors.altinn3_post import ADMINISTRATION, CONFIDENTIAL, OTHER, PARTY, TAX
from tests.connectors.dialog_post import NAV, SCOPE, DialogPost, new_mailbox, new_owner
from tests.sweeps.report import write_section
from tests.unit.bell.conftest import BellWorld
from tests.unit.bell.test_bell_properties import Liar, Office
from tests.unit.bell.test_dialog_rounds import Rounds
from tests.unit.conftest import NOW, TABLE

LATER = "nav_delegeres_senere_dialog"
_RIGHTS = (ADMINISTRATION, TAX, CONFIDENTIAL, NAV, "app_x")
_STORM = ("dialogsearch", "dialoglookup", "transmissions", "list", "overview", "token", "exchange")
_EACH_ROUND = 50
"""Dialogs that come between two rounds: so many that lists, and single fetches, are both used."""
_MIRROR = "https://platform.altinn.no/correspondence/api/v1/correspondence/1/content"
_NEVER = ("dialog", "purge", "content", "markasread", "confirm")


@dataclass(kw_only=True)
class Outcome:
    """What a proof came to."""

    dialogs: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    letters: int = 0
    found: Counter[str] = field(default_factory=Counter)
    faults_hit: int = 0
    wrong: list[str] = field(default_factory=list)


class DialogOffice:
    """Adds dialogs of every kind, and knows which letters must, and which may, be stored."""

    def __init__(self, post: DialogPost, chance: random.Random, kinds: Counter[str]) -> None:
        self._post, self._chance, self._kinds = post, chance, kinds
        self.must, self.may = set[str](), set[str]()
        self._here: list[str] = []
        self._deleted: list[str] = []
        self._ways: list[Callable[[], None]] = [
            self._plain,
            self._nav,
            self._dated_back,
            self._migrated,
            self._not_visible,
            self._late,
            self._runs_out,
            self._silent,
            self._added,
            self._deleted_later,
            self._restored,
            self._delegated_later,
            self._form,
        ]

    def act(self) -> None:
        """Let something come, or change."""
        way = self._chance.choice(self._ways)
        self._kinds[way.__name__.strip("_").replace("_", " ")] += 1
        way()

    def finish(self) -> None:
        """Bring back what was deleted."""
        for dialog in self._deleted:
            self._bring_back(dialog)

    def _add(self, letters: int = 0, **dialog: Any) -> set[str]:
        """Add a dialog, and return the ids of its letters; some others in it are none."""
        sent = [PretendTransmission(title=f"Vedtak {number}") for number in range(letters)]
        others = [
            PretendTransmission(sender="PartyRepresentative"),
            PretendTransmission(content_reference=_MIRROR),
            PretendTransmission(withheld=True),
        ]
        none = [each for each in others if self._chance.random() < 0.1]
        where = {"party": self._chance.choice((PARTY, OTHER))}
        key = self._post.add(*sent, *none, **where | dialog)
        record = self._post.altinn.dialogs.record(key)
        assert record
        return {key, *(f"{key}/{each.id}" for each in record.transmissions[:letters])}

    @property
    def _now(self) -> datetime:
        return self._post.altinn.clock.now()

    def _wanted(self, letters: int = 0, **dialog: Any) -> None:
        """Add a dialog whose letters must be stored."""
        new = self._add(letters, **dialog)
        self.must |= new
        self._here.append(min(new, key=len))

    def _plain(self) -> None:
        self._wanted(self._chance.choice((0, 1)))

    def _nav(self) -> None:
        self._wanted(12)

    def _dated_back(self) -> None:
        days = self._chance.choice((1, 6, 25))
        self._wanted(1, created_at=self._now - timedelta(days=days))

    def _migrated(self) -> None:
        self._wanted(created_at=self._now - timedelta(days=700))

    def _not_visible(self) -> None:
        later = timedelta(minutes=self._chance.choice((2, 50)))
        self._wanted(1, visible_from=self._now + later)

    def _late(self) -> None:
        self._wanted(visible_from=self._now + timedelta(hours=25))

    def _runs_out(self) -> None:
        self.may |= self._add(1, expires_at=self._now + timedelta(hours=1))

    def _silent(self) -> None:
        self._new_letter(silent=True)

    def _added(self) -> None:
        self._new_letter(silent=False)

    def _new_letter(self, *, silent: bool) -> None:
        if self._here:
            dialog = self._chance.choice(self._here)
            sent = PretendTransmission(title="Nytt brev")
            new = self._post.altinn.dialogs.add_transmission(dialog, sent, silent=silent)
            self.must.add(f"{dialog}/{new}")

    def _deleted_later(self) -> None:
        new = self._add(1)
        self.may |= new
        dialog = min(new, key=len)
        self._post.altinn.dialogs.delete(dialog)
        if self._chance.random() < 0.5:
            self._deleted.append(dialog)

    def _restored(self) -> None:
        if self._deleted:
            self._bring_back(self._deleted.pop())

    def _bring_back(self, dialog: str) -> None:
        self._post.altinn.dialogs.restore(dialog)
        self.must |= {each for each in self.may if each.partition("/")[0] == dialog}

    def _delegated_later(self) -> None:
        self._wanted(1, resource=LATER)

    def _form(self) -> None:
        self._add(resource="app_x", resource_type="altinnapp")


class Proof:
    """Two mailboxes, their other side, and a store."""

    def __init__(self, folder: Path, altinn: FakeAltinn, post: DialogPost, seed: int) -> None:
        self.outcome, self.chance = Outcome(), random.Random(seed)
        self.post, self.altinn = post, altinn
        self.store = Store(f"sqlite:///{folder / 'postmottak.db'}")
        self.store.letters.note_table(TABLE.version, TABLE.text, NOW)
        content = ContentFolder(folder / "content")
        self.world = BellWorld(altinn, post.client, self.store, content, folder)
        self.rounds = Rounds(post, self.store, content)
        self.office = Office(self.world, seed)
        self.dialogs = DialogOffice(post, self.chance, self.outcome.kinds)
        self._bells: list[BellRounds] = []

    def run(self, dialogs: int) -> Outcome:
        """Let so many dialogs come, and judge what is stored."""
        self._start()
        self._round(4)
        ways = (faults.status(503), faults.status(500), faults.reset(), faults.lost_answer())
        self.altinn.faults.storm(0.1, ways, *_STORM)
        while self._count() < dialogs:
            for _ in range(_EACH_ROUND):
                self.chance.choice((self.dialogs.act, self._letter))()
            self._misfortune()
            self._round()
        self._peace()
        self._judge()
        return self.outcome

    def close(self) -> None:
        """Close what was opened."""
        for each in self.world.mailboxes:
            each.close()
        self.post.mailbox.close()
        self.store.close()

    def _letter(self) -> None:
        before = len(self.office.sent) + len(self.office.unpublished)
        self.office.act()
        after = len(self.office.sent) + len(self.office.unpublished)
        self.outcome.kinds["mirror of a letter"] += after - before

    def _count(self) -> int:
        return sum(1 for _ in self.altinn.dialogs.of_parties((PARTY, OTHER)))

    def _start(self) -> None:
        """Start both mailboxes, or start them again, each with a bell that lies."""
        bells = [self.world.start(), self.rounds.start(self.post.open())]
        for rounds, mailbox in zip(
            bells, (self.world.mailboxes[-1], self.post.mailbox), strict=True
        ):
            liar = Liar(mailbox, self.chance)  # type: ignore[arg-type]  # only its bell is used
            rounds._parts = replace(rounds._parts, bell=liar)  # type: ignore[arg-type]
        self._bells = bells

    def _round(self, count: int = 1) -> None:
        for _ in range(count):
            self.altinn.clock.advance(timedelta(seconds=75))
            for each in self._bells:
                each.run(self.world.stopping)

    def _misfortune(self) -> None:
        """Start again, lose or regain a party's rights, or let hours pass."""
        luck, client = self.chance.random(), self.post.client.client_id
        if luck < 0.1:
            self._start()
        elif luck < 0.15:
            self.altinn.revoke(client, OTHER, [TAX, NAV])
        elif luck < 0.4:
            self.altinn.allow(client, OTHER, _RIGHTS)
        elif luck < 0.5:
            self.altinn.clock.advance(timedelta(hours=self.chance.randint(1, 8)))

    def _peace(self) -> None:
        """End the storm, delegate what was not, and let some days pass."""
        self.outcome.faults_hit = sum(self.altinn.faults.hits.values())
        self.altinn.faults.clear()
        for party in (PARTY, OTHER):
            self.altinn.allow(self.post.client.client_id, party, [*_RIGHTS, LATER])
        self.office.finish()
        self.dialogs.finish()
        for _ in range(3):
            self.altinn.clock.advance(timedelta(hours=25))
            self._round(4)

    def _judge(self) -> None:
        wrong, outcome = self.outcome.wrong, self.outcome
        letters, dialogs = self.world.kept(), self.rounds.kept()
        outcome.dialogs, outcome.letters = self._count(), len(letters) + len(dialogs)
        wrong += _compared("Correspondence", letters, set(self.office.sent), set())
        wrong += _compared("dialogs", dialogs, self.dialogs.must, self.dialogs.may)
        if seen := self.altinn.dialogs.seen_log():
            wrong.append(f"{len(seen)} dialogs were seen")
        if told := self.altinn.count(*_NEVER):
            wrong.append(f"{told} calls left a mark")
        if (deliveries := len(self.store.queries.deliveries())) != outcome.letters:
            wrong.append(f"{deliveries} deliveries of {outcome.letters} letters")
        for mailbox, kept in (("altinn", letters), ("dialoger", dialogs)):
            record = self.store.bells.of(mailbox)
            ways = {
                way: getattr(record, f"found_by_{way}")
                for way in ("bell", "overlap", "walk", "list")
            }
            outcome.found.update(ways)
            if sum(ways.values()) != len(kept):
                wrong.append(f"{mailbox}: {sum(ways.values())} counted of {len(kept)}")


def _compared(what: str, kept: list[str], must: set[str], may: set[str]) -> Iterator[str]:
    for name, count in (
        ("missing", len(must - set(kept))),
        ("not wanted", len(set(kept) - must - may)),
        ("twice", len(kept) - len(set(kept))),
    ):
        if count:
            yield f"{what}: {count} {name}"


@contextmanager
def opened(folder: Path, seed: int) -> Iterator[Proof]:
    """Open a proof in an empty folder."""
    with ExitStack() as ends:
        altinn = ends.enter_context(FakeAltinn())
        owner = ends.enter_context(new_owner(altinn))
        client = altinn.ready_client(scopes=(*RECIPIENT_SCOPES, SCOPE))
        for party in (PARTY, OTHER):
            altinn.allow(client.client_id, party, _RIGHTS)
        mailbox = new_mailbox(folder, altinn, owner, client)
        post = DialogPost(altinn, owner, client, folder, mailbox)
        proof = Proof(folder, altinn, post, seed)
        ends.callback(proof.close)
        yield proof


def main() -> int:
    """Prove it, print what was found, and return 1 if something was wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dialogs", type=int, nargs="?", default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--report", type=Path, help="write the result into this page")
    options, began = parser.parse_args(), time.monotonic()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    folder = Path(tempfile.mkdtemp())
    try:
        with opened(folder, options.seed) as proof:
            outcome = proof.run(options.dialogs)
    finally:
        shutil.rmtree(folder)
    text = _table(outcome, time.monotonic() - began)
    print(text)
    print(dict(outcome.kinds))
    for each in outcome.wrong:
        print(f"- {each}")
    if options.report:
        write_section(options.report, "dialog-sweep", text)
    return 1 if outcome.wrong else 0


def _table(outcome: Outcome, seconds: float) -> str:
    where = (
        f"{datetime.now(UTC):%Y-%m-%d}, Linux {platform.release()}, Python "
        f"{platform.python_version()}; {seconds:.0f} seconds."
    )
    ways = ("bell", "overlap", "walk", "list")
    head = ("dialogs", "letters", *(f"by {each}" for each in ways), "failed calls", "wrong")
    values = (outcome.dialogs, outcome.letters, *(outcome.found[each] for each in ways))
    row = (*values, outcome.faults_hit, len(outcome.wrong))
    lines = (f"| {' | '.join(head)} |", "|---:" * len(head) + "|")
    return "\n".join((where, "", *lines, f"| {' | '.join(map(str, row))} |"))


if __name__ == "__main__":
    sys.exit(main())
