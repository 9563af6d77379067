"""What must be true of an installation after a crash and one normal run: the promises, looked at
from outside."""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from connectors.drops.drop import STAGING
from daemon.store import Store
from tests.journeys.conftest import Journey

PER_LETTER = 3
"""Destinations that each letter of a sweep goes to."""
ROUTING = """\
[[recipient]]
name = "post"
deliver_to = ["mappe", "epost", "webhook"]

[[route]]
name = "Alt"
to = ["post"]
"""


def faults(
    journey: Journey, published: Sequence[str], *, most_repeats: int, disk_failed: bool = False
) -> Iterator[str]:
    """Everything that is wrong once every letter should have arrived everywhere; repeats are
    counted over both sinks.

    With `disk_failed`, the drop's hidden folder may be left if nothing is in it: the next delivery
    removes it.
    """
    if journey.dropped_ids() != sorted(published):
        yield f"{len(journey.whole_drops())} drops of {len(published)} letters"
    for drop in journey.whole_drops():
        yield from not_whole(drop)
    hidden = journey.scene.drop / STAGING
    may_stay = {STAGING} if disk_failed and hidden.exists() and not any(hidden.iterdir()) else set()
    yield from (f"{left} remains" for left in temporaries(journey) if left not in may_stay)
    states = delivery_states(journey)
    if Counter(state for _, _, state in states) != Counter(
        {"delivered": PER_LETTER * len(published)}
    ):
        yield f"deliveries ended {sorted(Counter(state for _, _, state in states).items())}"
    yield from _sinks(journey, states, most_repeats)
    yield from damage(journey)


def _sinks(
    journey: Journey, states: Sequence[tuple[str, str, str]], most_repeats: int
) -> Iterator[str]:
    hooks, mails = taken(journey)
    for name, seen in (("webhook", hooks), ("epost", mails)):
        if set(seen) != {key for key, destination, _ in states if destination == name}:
            yield f"{name} has other ids than the deliveries"
    repeats = hooks.total() - len(hooks) + mails.total() - len(mails)
    if repeats > most_repeats:
        yield f"{repeats} repeats"


def told_too_early(journey: Journey) -> Iterator[str]:
    """Deliveries that are recorded as delivered although the other side does not have them, and
    what the journal has otherwise."""
    hooks, mails = taken(journey)
    states = delivery_states(journey)
    told = {
        name: {
            key for key, destination, state in states if (destination, state) == (name, "delivered")
        }
        for name in ("epost", "webhook")
    }
    if told["epost"] - set(mails):
        yield "a mail is told as delivered and was not taken"
    if told["webhook"] - set(hooks):
        yield "a webhook is told as delivered and was not taken"
    dropped = sum(
        state == "delivered" and destination == "mappe" for _, destination, state in states
    )
    if dropped > len(journey.whole_drops()):
        yield "a drop is told as delivered and is not there"
    yield from unlike_the_journal(_database(journey))


def taken(journey: Journey) -> tuple[Counter[str], Counter[str]]:
    """How often each delivery came, by its id: at the webhook sink and at the mail sink."""
    hooks = Counter(hook.id for hook in journey.webhook.taken)
    mails = Counter(
        str(mail.message["Message-ID"]).strip("<>").partition("@")[0] for mail in journey.mail.mails
    )
    return hooks, mails


def delivery_states(journey: Journey) -> list[tuple[str, str, str]]:
    """Id, destination and state of each delivery; none where the table of them does not exist."""
    return states_in(_database(journey))


def states_in(database: Path) -> list[tuple[str, str, str]]:
    """The same of any database."""
    if not database.exists():
        return []
    with closing(sqlite3.connect(database)) as connection:
        if not connection.execute(
            "SELECT 1 FROM sqlite_master WHERE name = 'deliveries'"
        ).fetchone():
            return []
        rows = connection.execute("SELECT id, destination, state FROM deliveries").fetchall()
    return [(_with_dashes(str(key)), destination, state) for key, destination, state in rows]


def stored(journey: Journey) -> set[str]:
    """The Altinn ids of the letters in the database."""
    with _open(journey) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'messages'").fetchone():
            return set()
        return {key for (key,) in connection.execute("SELECT external_id FROM messages")}


def damage(journey: Journey) -> Iterator[str]:
    """Damage to the database or to a file of the content store."""
    with _open(journey) as connection:
        if connection.execute("PRAGMA integrity_check").fetchone() != ("ok",):
            yield "the database is not whole"
    yield from unlike_the_journal(_database(journey))
    for file in (journey.scene.folder / "content").glob("??/*"):
        if hashlib.sha256(file.read_bytes()).hexdigest() != file.name:
            yield "a file of the content store is not what its name says"


def unlike_the_journal(database: Path) -> Iterator[str]:
    """Where the tables and the journal do not agree, or the journal does not hang together."""
    if not database.exists():
        return
    store = Store(f"sqlite:///{database}")
    try:
        yield from (f"journal: {each}" for each in store.journal.verify().faults)
    finally:
        store.close()


def temporaries(journey: Journey) -> list[str]:
    """What is left over of work that was cut short."""
    hidden = [drop.name for drop in journey.drops() if drop.name.startswith(".")]
    content = journey.scene.folder / "content" / "tmp"
    return hidden + (
        [f"content/tmp/{left.name}" for left in content.iterdir()] if content.exists() else []
    )


def not_whole(drop: Path) -> Iterator[str]:
    """What is wrong with a drop, by its own SHA256SUMS."""
    try:
        lines = (drop / "SHA256SUMS").read_text().splitlines()
        sums = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
        wrong = [
            name
            for name, digest in sums.items()
            if hashlib.sha256((drop / name).read_bytes()).hexdigest() != digest
        ]
    except (OSError, ValueError) as error:
        yield f"the drop {drop.name} is not whole: {error}"
        return
    if wrong or set(sums) != {each.name for each in drop.iterdir()} - {"SHA256SUMS"}:
        yield f"the drop {drop.name} is not whole: {wrong or sorted(sums)}"


def _open(journey: Journey) -> closing[sqlite3.Connection]:
    return closing(sqlite3.connect(_database(journey)))


def _database(journey: Journey) -> Path:
    return journey.scene.folder / "postmottak.db"


def _with_dashes(key: str) -> str:
    return key if "-" in key else "-".join((key[:8], key[8:12], key[12:16], key[16:20], key[20:]))
