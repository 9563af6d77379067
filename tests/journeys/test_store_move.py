"""`store move` as an operator meets it: from SQLite to PostgreSQL and back, killed at any moment,
and nothing is delivered again."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.journeys.conftest import Journey
from tests.processes.crash_at import MOVES
from tests.processes.postgresql import PostgresqlServer


@pytest.fixture
def new_url(postgresql: PostgresqlServer) -> Iterator[str]:
    """The URL of a database without tables."""
    name = f"test_{uuid4().hex}"
    postgresql.run(f"CREATE DATABASE {name}")
    yield postgresql.url(name)
    postgresql.run(f"DROP DATABASE {name} WITH (FORCE)")


def use(journey: Journey, url: str) -> None:
    """Write another database into the configuration, as the command says."""
    file = journey.scene.configuration
    lines = file.read_text().splitlines()
    begin = "database = "
    file.write_text(
        "\n".join(f'{begin}"{url}"' if line.startswith(begin) else line for line in lines) + "\n"
    )


def url_of(journey: Journey) -> str:
    """The database that the sandbox's configuration names."""
    (found,) = journey.scene.folder.glob("**/*.db")
    return f"sqlite:///{found}"


def told(journey: Journey) -> tuple[list[str], list[str], list[str]]:
    """What the receivers have had so far, by their ids."""
    mails = [str(each.message["Message-ID"]) for each in journey.mail.mails]
    return mails, [each.id for each in journey.webhook.taken], journey.dropped_ids()


def everything(journey: Journey) -> list[object]:
    """What commands say of letters, deliveries and the table."""
    deliveries = journey.run("deliveries", "list", "--json", "--limit", "9999").json
    shown = [journey.run("deliveries", "show", each["id"], "--json").json for each in deliveries]
    return [journey.run("messages", "list", "--json").json, deliveries, shown]


def test_there_and_back(journey: Journey, new_url: str) -> None:
    """Everything is the same after the move, a poll delivers nothing again and goes on with what is
    open, and the same holds for the way back."""
    journey.publish(13)
    assert journey.poll().code == 0
    first, *others = [each["id"] for each in journey.run("deliveries", "list", "--json").json]
    assert journey.run("deliveries", "resend", first, "--yes").code == 0
    assert journey.run("deliveries", "resend", others[0], "--yes").code == 0
    waiting = journey.run("deliveries", "list", "--json", "--state", "pending").json
    assert journey.run("deliveries", "hold", waiting[0]["id"]).code == 0
    letter = journey.run("messages", "list", "--json").json[0]["id"]
    assert journey.run("messages", "legal-hold", letter, "--reason", "sak").code == 0
    assert journey.run("journal", "head").code == 0
    old, before, receivers = url_of(journey), everything(journey), told(journey)

    moved = journey.run("store", "move", "--to", new_url, "--json")
    assert moved.code == 0, moved.errors
    assert moved.json["database"] == new_url
    assert moved.json["rows"]["messages"] == 12
    refused = journey.run("poll")
    assert refused.code == 1
    assert "was moved to" in refused.errors
    use(journey, new_url)
    assert everything(journey) == before
    assert journey.run("journal", "verify").code == 0
    polled = journey.poll().json
    assert (polled["fetched"], polled["stored"], polled["delivered"]) == (0, 0, 1)
    assert sum(map(len, told(journey))) == sum(map(len, receivers)) + 1

    back = f"{old}-again"
    before, receivers = everything(journey), told(journey)
    moved = journey.run("store", "move", "--to", back)
    assert moved.code == 0, moved.errors
    assert f'database = "{back}"' in moved.output
    use(journey, back)
    assert everything(journey) == before
    assert journey.run("journal", "verify").code == 0
    assert journey.run("db", "check").code == 0
    assert journey.poll().json["delivered"] == 0
    assert told(journey) == receivers


@pytest.mark.parametrize(
    ("point", "way"),
    [
        *((point, "there") for point in (*MOVES, "move-page:7", "move-page-noted:9")),
        *((point, "back") for point in ("move-prepared", "move-page:7", "move-opened")),
    ],
)
def test_killed_at_a_named_point(journey: Journey, new_url: str, point: str, way: str) -> None:
    """After a kill at this point the same command goes on, and the result is the same; before it
    has ended, no service runs on either side."""
    journey.publish(5)
    assert journey.poll().code == 0
    target = new_url
    if way == "back":
        target = f"{url_of(journey)}-again"
        assert journey.run("store", "move", "--to", new_url).code == 0
        use(journey, new_url)
    before = everything(journey)
    crashed = journey.run("store", "move", "--to", target, crash=point)
    assert crashed.code == -9, crashed.errors
    assert journey.poll().code == 1
    assert journey.run("store", "move", "--to", target).code == 0
    use(journey, target)
    assert everything(journey) == before
    assert journey.run("journal", "verify").code == 0
    assert journey.poll().json["delivered"] == 0
