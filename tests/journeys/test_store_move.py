"""`store move` as an operator meets it: from SQLite to PostgreSQL and back, killed at any moment,
and nothing is delivered again."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest

from daemon.store.journal.key import key_path, make_key
from daemon.store.lock import InstanceLock
from tests.journeys.conftest import Journey
from tests.processes.crash_at import MOVES
from tests.processes.postgresql import PostgresqlServer

pytestmark = pytest.mark.skipif(
    "POSTMOTTAK" in os.environ,
    reason="the wheel as installed lacks psycopg; `make units` runs these on the checkout",
)


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
    checked = journey.run("check", "--offline")
    assert checked.code == 1
    assert "was moved to" in checked.output
    use(journey, new_url)
    assert journey.run("check", "--offline").code == 0
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


def refused(journey: Journey, *arguments: str, code: int, words: str) -> None:
    """A command fails so, in words, and the store can be used as before."""
    ended = journey.run("store", "move", *arguments)
    assert ended.code == code, ended.errors
    assert words in ended.errors, ended.errors
    assert "Traceback" not in ended.errors
    assert journey.run("status").code in {0, 3}


def test_what_cannot_be_moved(
    journey: Journey, postgresql: PostgresqlServer, new_url: str, tmp_path: Path
) -> None:
    """A URL that is none, one with a password, the store itself, a database that is missing, a
    server that is away, and a secret file for SQLite are refused in words, before anything is
    changed; so is a store that a service uses, and one where another key signs."""
    journey.publish(2)
    assert journey.poll().code == 0
    ours = url_of(journey)
    missing = postgresql.url("missing")
    away = "postgresql+psycopg://postgres@/postgres?host=/nonexistent"
    secret = tmp_path / "password"
    secret.write_text("secret")
    refused(journey, "--to", "mysql://x", code=1, words="--to is not a supported database")
    refused(journey, "--to", "postgresql+psycopg://a:b@c/d", code=1, words="holds a password")
    refused(journey, "--to", ours, code=1, words="is where the store is")
    refused(journey, "--to", missing, code=4, words="does not exist")
    refused(journey, "--to", away, code=4, words="cannot be used now")
    sqlite_with_password = ("--to", f"{ours}-new", "--password-file", str(secret))
    refused(journey, *sqlite_with_password, code=1, words="for PostgreSQL only")
    no_file = ("--to", new_url, "--password-file", "/nonexistent/password")
    refused(journey, *no_file, code=1, words="--password-file")
    database = Path(ours.removeprefix("sqlite:///"))
    lock = InstanceLock(database)
    refused(journey, "--to", new_url, code=4, words="another postmottak is using")
    lock.release()
    assert journey.run("journal", "head").code == 0
    other = database.parent / "postmottak.journal-key"
    assert make_key(other)
    refused(journey, "--to", new_url, code=1, words="is another key than")
    other.unlink()
    assert journey.run("store", "move", "--to", new_url).code == 0
    assert other.read_bytes() == key_path(database).read_bytes()


def test_a_wrong_password(journey: Journey, tmp_path: Path) -> None:
    """A server that refuses the password says so; the password is in no message, and with the right
    one the same command moves the store, and the service finds it with what was said."""
    journey.publish(1)
    assert journey.poll().code == 0
    folder = Path(tempfile.mkdtemp(prefix="postmottak-pg-"))
    server = PostgresqlServer(folder, "fsync=off", "max_connections=20")
    rules = "local all postgres trust\nlocal all all scram-sha-256\n"
    (folder / "data" / "pg_hba.conf").write_text(rules)
    server.start()
    try:
        server.run("CREATE ROLE mottak LOGIN PASSWORD 'riktig-hest'")
        server.run("CREATE DATABASE mottak OWNER mottak")
        url = f"postgresql+psycopg://mottak@/mottak?host={folder}"
        password = journey.scene.folder / "database.password"
        password.write_text("gal-hest")
        arguments = ("--to", url, "--password-file", str(password))
        refused(journey, *arguments, code=4, words="password authentication failed")
        password.write_text("riktig-hest")
        moved = journey.run("store", "move", *arguments)
        assert moved.code == 0, moved.errors
        assert "hest" not in moved.output + moved.errors
        assert f'password_file = "{password}"' in moved.output
        use(journey, f'{url}"\npassword_file = "{password}')
        assert journey.poll().json["delivered"] == 0
    finally:
        os.kill(server.pid, signal.SIGQUIT)
        shutil.rmtree(folder, ignore_errors=True)


def test_zero_characters_are_asked_about(journey: Journey, new_url: str) -> None:
    """U+0000 is named before anything is changed, and replaced where that is asked for."""
    journey.publish(2)
    assert journey.poll().code == 0
    with closing(sqlite3.connect(url_of(journey).removeprefix("sqlite:///"))) as connection:
        connection.execute("UPDATE messages SET summary = 'a' || char(0)")
        connection.commit()
    refused(journey, "--to", new_url, code=1, words="U+0000")
    assert journey.run("store", "move", "--to", new_url, "--replace-nul").code == 0
    use(journey, new_url)
    assert journey.run("journal", "verify").code == 0


def test_given_up_and_used_again(journey: Journey, new_url: str) -> None:
    """A move that was given up leaves a store that goes on as before; after one that had ended,
    `reopen` asks first."""
    letters = journey.publish(2)
    assert journey.run("store", "reopen").code == 4
    assert journey.poll().code == 0
    assert journey.run("store", "reopen").code == 1
    assert journey.run("store", "move", "--to", new_url, crash="move-page:5").code == -9
    assert journey.run("store", "reopen").code == 0
    polled = journey.poll()
    assert (polled.code, polled.json["delivered"]) == (0, 0)
    refused(journey, "--to", new_url, code=1, words="a part of another move")
    elsewhere = f"{url_of(journey)}-new"
    assert journey.run("store", "move", "--to", elsewhere).code == 0
    assert journey.run("store", "reopen").code == 2
    assert journey.run("store", "reopen", "--yes").code == 0
    assert journey.poll().json["delivered"] == 0
    assert journey.dropped_ids() == sorted(letters)
