"""Counts the calls of rounds by the bell, and how old letters are when they are stored.

The clock is simulated: a round takes no time, and the next one begins an interval later. Letters
come at any moment in between. What is measured is how many calls Altinn gets, and how long a letter
waits for the bell; the calls of a round add some seconds to that. The daily comparison is left out:
it adds a list of each channel a day, whatever the bell says.
"""

from __future__ import annotations

import logging
import random
import sqlite3
import statistics
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from benchmarks.report import Figure
from connectors.altinn3.settings import Settings
from connectors.mailboxes.altinn3 import Altinn3
from connectors.net.http_client import HttpClient
from connectors.sandbox.altinn3.server import FakeAltinn
from connectors.sandbox.letters import PretendLetter
from daemon.core.organisation import is_organisation_number
from daemon.intake.bell_rounds import BellRounds, RoundParts
from daemon.intake.carrier import Carrier
from daemon.intake.fetch import Fetcher
from daemon.intake.mailboxes import PolledMailbox
from daemon.intake.new_letter import MarkPolicies
from daemon.intake.notices import Notices
from daemon.intake.poll import Intake
from daemon.intake.reconcile import Reconciliation
from daemon.routing.table import parse_table
from daemon.store import Store
from daemon.store.content_folder import ContentFolder

_RESOURCE = "eformidling-dpv-administrasjon"
_HOUSE = "974760673"
_ROUNDS = 24
_QUIET, _OWN_QUIET, _FRESH, _CALLS_A_SECOND = 35.0, 1.1, 60.0, 0.5
_TABLE = """\
[[recipient]]
name = "post"
deliver_to = ["erp"]
[[route]]
name = "Alt"
to = ["post"]
"""
_TOKENS = ("token", "exchange")


@dataclass
class _World:
    altinn: FakeAltinn
    rounds: BellRounds
    parties: list[str]
    every: timedelta
    store: Store

    def run(self, count: int = 1) -> None:
        for _ in range(count):
            self.altinn.clock.advance(self.every)
            self.rounds.run(threading.Event())


def bell(folder: Path) -> Iterator[Figure]:
    """Measure an accounting house with an agent, and organisations with a system user each."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with ExitStack() as stack:
        house = _world(stack, folder / "house", 3000, agent=True)
        yield _quiet(house, "an agent system user", wanted=_QUIET)
        yield from _fresh(house)
    with ExitStack() as stack:
        own = _world(stack, folder / "own", 100, agent=False)
        yield _quiet(own, "a system user each", wanted=_OWN_QUIET * 100, tokens=False)


def calls_of_a_round(folder: Path, count: int, *, agent: bool) -> tuple[float, timedelta]:
    """Return how many calls a round takes in which nothing is new, and how often there is one."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with ExitStack() as stack:
        world = _world(stack, folder, count, agent=agent)
        rounds = round(timedelta(hours=1) / world.every)
        world.altinn.forget_calls()
        world.run(rounds)
        return world.altinn.count() / rounds, world.every


def _quiet(world: _World, what: str, wanted: float, *, tokens: bool = True) -> Figure:
    """Count the calls of an hour in which nothing is new, by round."""
    rounds = round(timedelta(hours=1) / world.every)
    world.altinn.forget_calls()
    world.run(rounds)
    calls = world.altinn.count() - (0 if tokens else world.altinn.count(*_TOKENS))
    mean = calls / rounds
    return Figure(
        what=f"calls a round, {len(world.parties)} organisations with {what}, nothing new",
        measured=f"{mean:.1f}",
        beside=f"{'tokens included' if tokens else 'without tokens'}, no daily comparison",
        wanted=f"at most {wanted:.0f}",
        held=mean <= wanted,
    )


def _fresh(world: _World) -> Iterator[Figure]:
    """Let letters come at any moment, and measure how old they are when they are stored."""
    chance, ages = random.Random(22), list[float]()  # noqa: S311
    world.altinn.forget_calls()
    for _ in range(_ROUNDS):
        waits = []
        begun = world.altinn.clock.now()
        for _ in range(5):
            share = chance.random()
            world.altinn.clock.skew += world.every * share
            world.altinn.publish(PretendLetter(party=chance.choice(world.parties)))
            world.altinn.clock.skew -= world.every * share
            waits.append(world.every.total_seconds() * (1 - share))
        before = world.rounds.record.found_by_bell
        world.altinn.clock.advance(begun + world.every - world.altinn.clock.now())
        world.rounds.run(threading.Event())
        assert world.rounds.record.found_by_bell - before == len(waits)
        ages += waits
    yield Figure(
        what="age of a letter when it is stored, by the bell's default interval",
        measured=f"{statistics.median(ages):.0f} s at the median, {max(ages):.0f} s at most",
        wanted=f"at most {_FRESH:.0f} s at the median",
        held=statistics.median(ages) <= _FRESH,
    )
    searches = world.altinn.count("dialogsearch", *_TOKENS, "dialoglimits")
    rate = searches / (_ROUNDS * world.every.total_seconds())
    yield Figure(
        what="calls a second for that, besides those for the letters",
        measured=f"{rate:.2f}",
        wanted=f"at most {_CALLS_A_SECOND}",
        held=rate <= _CALLS_A_SECOND,
    )


def _world(stack: ExitStack, folder: Path, count: int, *, agent: bool) -> _World:
    folder.mkdir()
    altinn = stack.enter_context(FakeAltinn())
    client = altinn.ready_client()
    parties = numbers(count)
    for party in parties:
        if agent:
            altinn.allow_client(client.client_id, _HOUSE, party, [_RESOURCE])
        else:
            altinn.allow(client.client_id, party, [_RESOURCE])
    (folder / "key.pem").write_text(client.private_key)
    told: dict[str, Any] = {
        "maskinporten_url": altinn.maskinporten_url,
        "platform_url": altinn.platform_url,
        "client_id": client.client_id,
        "key_file": "key.pem",
        "key_id": client.key_id,
        "parties": parties,
        "services": ["4255/10"],
        "resources": {"4255/10": [_RESOURCE]},
        "confidential": "off",
        "start_from": "all",
    }
    settings = Settings.model_validate(
        told | ({"system_user": _HOUSE} if agent else {}), context={"base": folder}
    )
    mailbox = Altinn3("altinn", settings, HttpClient(longest_pause=1), altinn.clock.now)
    stack.callback(mailbox.close)
    store = Store(f"sqlite:///{folder / 'letters.db'}")
    stack.callback(store.close)
    world = _World(
        altinn, _rounds(folder, mailbox, store, altinn), parties, settings.bell_every, store
    )
    while sum(each.begun for each in store.queries.bookmarks()) < count:
        world.run()
    # as if each channel had been compared just now: that is done once a day, a few in each round
    with closing(sqlite3.connect(folder / "letters.db")) as connection, connection:
        connection.execute("UPDATE bookmarks SET compared_at = succeeded_at")
    world.rounds = _rounds(folder, mailbox, store, altinn)
    world.run(4)
    return world


def _rounds(folder: Path, mailbox: Altinn3, store: Store, altinn: FakeAltinn) -> BellRounds:
    intake = intake_of(folder, store, altinn.clock.now)
    box = PolledMailbox(
        mailbox=mailbox,
        receiver=mailbox,
        policies=MarkPolicies(),
        poll_every=timedelta(minutes=5),
        bell=mailbox,
    )
    assert mailbox.rings_every
    return BellRounds(
        RoundParts(
            intake=intake,
            reconciliation=Reconciliation(store=store, intake=intake),
            box=box,
            bell=mailbox,
            every=mailbox.rings_every,
        )
    )


def intake_of(folder: Path, store: Store, clock: Callable[[], datetime]) -> Intake:
    """Return what fetches letters for one recipient, in this process."""
    table = parse_table(_TABLE, "routing.toml", ["erp"])
    store.letters.note_table(table.version, table.text, clock())
    fetcher = Fetcher(
        store=store, content=ContentFolder(folder / "content"), table=lambda: table, clock=clock
    )
    return Intake(
        store=store,
        fetcher=fetcher,
        notices=Notices(store=store, table=lambda: table, clock=clock),
        here=Carrier(store=store, fetcher=fetcher),
    )


def numbers(count: int) -> list[str]:
    """Return valid organisation numbers."""
    found: list[str] = []
    for number in range(910_000_000, 1_000_000_000):
        if is_organisation_number(str(number)):
            found.append(str(number))
            if len(found) == count:
                break
    return found
