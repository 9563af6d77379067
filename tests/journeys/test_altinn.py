"""The mailbox of Altinn 3, whole: every letter is found, whatever Altinn does, and nothing is told
that is not so."""

from __future__ import annotations

import json
import sqlite3
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connectors.sandbox.altinn3 import faults
from connectors.sandbox.letters import PretendAttachment, PretendLetter
from connectors.sandbox.samples import sandbox_resource, sandbox_resources
from daemon.core.organisation import is_organisation_number
from tests.journeys.conftest import Begin, Journey

APPOINTED = """\
[[recipient]]
name = "personal"
deliver_to = ["mappe", "epost"]

[[recipient]]
name = "post"
deliver_to = ["mappe"]

[[route]]
name = "Taushetsbelagt"
services = ["5504/1"]
to = ["personal"]

[[route]]
name = "Alt annet"
to = ["post"]
"""
SECRETS = ("Hemmelig overskrift", "hemmelig innhold", "hemmelig.pdf", "Hemmelig etat", "958935420")


def _secret(journey: Journey, **changes: object) -> PretendLetter:
    told: dict[str, object] = {
        "party": journey.scene.party,
        "resource": sandbox_resource("5504/1"),
        "title": SECRETS[0],
        "summary": SECRETS[1],
        "body": SECRETS[1],
        "message_sender": SECRETS[3],
        "sender_org": SECRETS[4],
        "attachments": (PretendAttachment(name=SECRETS[2], content=SECRETS[1].encode()),),
        **changes,
    }
    return PretendLetter(**told)  # type: ignore[arg-type]  # each value is of its field's type


def _everything_kept(folder: Path) -> bytes:
    """All bytes that lie in the journey's folder, but for its configuration."""
    return b"".join(
        path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".toml"
    )


@pytest.mark.timeout(400)
def test_more_letters_than_a_list_holds(journey: Journey) -> None:
    """2,500 letters of one service, 800 of them published at the same time, arrive in one poll; a
    late one arrives in the next."""
    now = datetime.now(UTC)
    times = [now - timedelta(minutes=each) for each in range(1700)] + [
        now - timedelta(days=2)
    ] * 800
    letters = [
        journey.altinn.publish(
            PretendLetter(party=journey.scene.party, requested_at=at, published_at=at)
        )
        for at in times
    ]
    polled = journey.poll()
    assert (polled.code, polled.json["stored"]) == (0, len(letters))
    assert journey.dropped_ids() == sorted(letters)

    late = now - timedelta(days=3)
    letter = journey.altinn.publish(
        PretendLetter(party=journey.scene.party, requested_at=late, published_at=now)
    )
    journey.altinn.forget_calls()
    assert journey.poll().json["stored"] == 1
    assert letter in journey.dropped_ids()
    assert journey.altinn.count("overview") == 1
    channels, splits = 11, 6
    assert journey.altinn.count("list") <= channels + splits


def test_a_storm(journey: Journey) -> None:
    """While every tenth call fails in one way or another, all letters and attachments arrive within
    a few polls, whole, and none twice."""
    letters = [
        journey.altinn.publish(
            PretendLetter(
                party=journey.scene.party,
                resource=resource,
                attachments=tuple(
                    PretendAttachment(name=f"{part}.pdf", size=20_000 + number) for part in range(2)
                ),
            )
        )
        for number, resource in enumerate(30 * list(sandbox_resources(confidential=False).values()))
    ]
    calm = 13 + len(letters) * 3
    ways = [
        faults.status(429),
        faults.status(429, retry_after="1"),
        *(faults.status(code) for code in (500, 502, 503, 504)),
        faults.html_page(),
        faults.login_redirect(),
        faults.reset(),
        faults.cut_short(announced=True),
        faults.cut_short(announced=False),
        faults.wrong_bytes(),
        faults.gzip_bomb(),
    ]
    journey.altinn.faults.storm(0.1, ways, "list", "overview", "download")
    for _ in range(8):
        if journey.poll().code == 0:
            break
    assert journey.dropped_ids() == sorted(letters)
    for drop in journey.drops():
        files = json.loads((drop / "message.json").read_text())["files"]
        assert [file["state"] for file in files] == ["present", "present"]
    assert journey.altinn.count("list", "overview", "download") < 2 * calm


def test_reconcile_names_what_is_missing(journey: Journey) -> None:
    """A letter that is lost from the database is found by comparing everything, named, counted, and
    fetched again."""
    journey.publish(13)
    journey.poll()
    lost = _lose_a_letter(journey)
    found = journey.run("reconcile", "--json")
    assert found.code == 0, found.errors
    (short,) = [channel for channel in found.json if channel["missing"]]
    assert (short["remote"] - short["local"], short["missing"], short["fetched"]) == (1, [lost], 1)
    assert lost in journey.dropped_ids()
    assert len(journey.drops()) == 12
    assert all(
        channel["remote"] == channel["local"] + channel["waiting"]
        for channel in journey.run("reconcile", "--json").json
    )


def test_a_letter_that_is_dated_before_the_first_poll(journey: Journey) -> None:
    """What was published before the installation stays; what comes after it is fetched whatever
    date it bears, and reconcile names it."""
    now = datetime.now(UTC)

    def publish(dated: timedelta, published: timedelta) -> str:
        letter = PretendLetter(
            party=journey.scene.party, requested_at=now - dated, published_at=now - published
        )
        return journey.altinn.publish(letter)

    publish(dated=timedelta(days=90), published=timedelta(days=90))
    assert journey.poll().json["stored"] == 0
    first = publish(dated=timedelta(days=60), published=timedelta())
    assert journey.poll().json["stored"] == 0, "no poll looks there"
    found = journey.run("reconcile", "--json")
    assert found.code == 0, found.errors
    (short,) = [each for each in found.json if each["missing"]]
    assert (short["missing"], short["fetched"], short["late"], short["older"], short["unseen"]) == (
        [first],
        1,
        1,
        1,
        0,
    )
    journey.altinn.forget_calls()
    migrated = publish(dated=timedelta(days=900), published=timedelta(days=900))
    (short,) = [each for each in journey.run("reconcile", "--json").json if each["missing"]]
    assert (short["missing"], short["fetched"], short["older"]) == ([migrated], 1, 1)
    assert journey.altinn.count("overview") == 1, "what was looked at once is not opened again"
    assert journey.dropped_ids() == sorted([first, migrated])
    assert [each for each in journey.run("reconcile", "--json").json if each["missing"]] == []
    assert journey.run("status", "--json").json["older"] == 1


def _lose_a_letter(journey: Journey) -> str:
    with sqlite3.connect(journey.scene.folder / "postmottak.db") as database:
        key, external_id = database.execute(
            "SELECT id, external_id FROM messages WHERE kind = 'letter' ORDER BY id LIMIT 1"
        ).fetchone()
        database.execute(
            "DELETE FROM attempts WHERE delivery_id IN (SELECT id FROM deliveries WHERE "
            "message_id = ?)",
            (key,),
        )
        for table in ("deliveries", "attachments", "decisions", "threads", "marks"):
            database.execute(f"DELETE FROM {table} WHERE message_id = ?", (key,))
        database.execute("DELETE FROM messages WHERE id = ?", (key,))
    return str(external_id)


def test_the_sender_is_told_in_order_and_once(begun: Callable[..., Begin]) -> None:
    """With both policies "delivered" a letter's history shows Fetched, its downloads, then Read,
    and Confirmed if asked for, each once."""
    with begun(mailbox='mark_read = "delivered"\nconfirm = "delivered"\n') as journey:
        journey.altinn.letters.confirm_delay = timedelta()
        letters = journey.publish(13)
        assert journey.poll().code == 0
        asked = {
            letter for letter in letters if journey.altinn.record(letter).letter.confirmation_needed
        }
        assert set() < asked < set(letters)
        for letter in asked:
            assert journey.altinn.wait_for_status(letter, "Confirmed")
        assert journey.poll().code == 0
        for letter in letters:
            told = [
                status
                for status in journey.altinn.statuses(letter)
                if status in {"Fetched", "AttachmentsDownloaded", "Read", "Confirmed"}
            ]
            assert (told.count("Read"), told.count("Confirmed")) == (1, int(letter in asked))
            assert told[0] == "Fetched"
            assert told.index("Read") > max(
                (place for place, status in enumerate(told) if status == "AttachmentsDownloaded"),
                default=0,
            )
        assert journey.altinn.count("content", "purge") == 0


def test_confidential_post_leaves_no_trace(begun: Callable[..., Begin]) -> None:
    """By default none of a confidential letter's words is here, the server sees nothing but the
    listing, and a notice says it waits."""
    with begun(routing=APPOINTED) as journey:
        letter = journey.altinn.publish(_secret(journey))
        polled = journey.poll()
        assert (polled.code, polled.json["waiting"], polled.json["notices"]) == (0, 1, 1)
        assert journey.poll().json["notices"] == 0
        assert journey.altinn.statuses(letter)[-1] == "Published"
        assert journey.altinn.count("overview", "details", "download", "content") == 0
        everything = _everything_kept(journey.scene.folder) + b"".join(
            mail.raw for mail in journey.mail.mails
        )
        assert not [words for words in SECRETS if words.encode() in everything]
        (drop,) = journey.drops()
        notice = json.loads((drop / "message.json").read_text())
        assert (notice["kind"], notice["service"]["code"]) == ("notice", "5504/1")
        (mail,) = journey.mail.mails
        assert "venter i Altinn" in str(mail.message["Subject"])


def test_confidential_under_an_ordinary_service(begun: Callable[..., Begin]) -> None:
    """A letter whose overview says that it is confidential is treated as such from that moment, and
    opened no second time."""
    with begun(routing=APPOINTED) as journey:
        journey.altinn.publish(
            _secret(journey, resource=sandbox_resource("4255/8"), confidential=True)
        )
        assert journey.poll().json["stored"] == 0
        assert journey.poll().code == 0
        assert journey.altinn.count("overview") == 1
        assert journey.altinn.count("download") == 0
        assert not [
            words for words in SECRETS if words.encode() in _everything_kept(journey.scene.folder)
        ]
        (drop,) = journey.drops()
        assert json.loads((drop / "message.json").read_text())["kind"] == "notice"


def test_confidential_post_that_may_be_fetched(begun: Callable[..., Begin]) -> None:
    """With confidential = "fetch" the letter goes to its appointed recipient, and stays in Altinn
    where there is none."""
    with begun(mailbox='confidential = "fetch"\n') as journey:
        letter = journey.altinn.publish(_secret(journey))
        assert journey.poll().json["stored"] == 0
        (journey.scene.folder / "routing.toml").write_text(APPOINTED)
        polled = journey.poll()
        assert polled.json["stored"] == 1
        assert journey.dropped_ids() == [letter]
        assert journey.mail.mails == ()


def test_a_letter_that_is_withdrawn_between_list_and_fetch(journey: Journey) -> None:
    """It is remembered and shown, not asked for again, and no error."""
    letter, kept = (
        journey.altinn.publish(PretendLetter(party=journey.scene.party)) for _ in range(2)
    )
    journey.altinn.withdraw(letter)
    polled = journey.poll()
    assert (polled.code, polled.json["gone"], polled.json["stored"]) == (0, 1, 1)
    journey.altinn.forget_calls()
    assert journey.poll().code == 0
    assert journey.altinn.count("overview") == 0
    assert [each["id"] for each in journey.run("status", "--json").json["gone"]] == [letter]
    assert journey.dropped_ids() == [kept]


def test_a_letter_that_was_imported_from_altinn_2(journey: Journey) -> None:
    """A migrated letter that is here already, by its Altinn 2 id, is not stored a second time."""
    journey.altinn.publish(PretendLetter(party=journey.scene.party, altinn2_id=4711))
    assert journey.poll().json["stored"] == 1
    journey.altinn.publish(PretendLetter(party=journey.scene.party, altinn2_id=4711))
    assert (journey.poll().json["stored"], journey.poll().json["duplicates"]) == (0, 0)
    assert len(journey.run("status", "--json").json["duplicate"]) == 1


def test_one_partys_trouble_is_its_own(begun: Callable[..., Begin]) -> None:
    """A party whose system user is gone is explained in words, and the others' letters come."""
    other = "974761076"
    with begun() as journey:
        configuration = journey.scene.configuration
        configuration.write_text(
            configuration.read_text().replace(
                f'parties = ["{journey.scene.party}"]',
                f'parties = ["{other}", "{journey.scene.party}"]',
            )
        )
        letters = journey.publish(13)
        polled = journey.poll()
        assert polled.code == 3
        assert journey.dropped_ids() == sorted(letters)
        assert any(other in problem and "MP-303" in problem for problem in polled.json["problems"])


def test_hundreds_of_parties(begun: Callable[..., Begin]) -> None:
    """300 parties with nothing new are polled within 200 MB."""
    with begun() as journey:
        parties = [
            number
            for number in map(str, range(810_000_000, 810_004_000))
            if is_organisation_number(number)
        ][:300]
        client = tomllib.loads(journey.scene.configuration.read_text())["mailbox"]["altinn"][
            "client_id"
        ]
        for party in parties:
            journey.altinn.allow(client, party, sandbox_resources().values())
        configuration = journey.scene.configuration
        configuration.write_text(
            configuration.read_text().replace(
                f'parties = ["{journey.scene.party}"]', f"parties = {json.dumps(parties)}"
            )
        )
        polled, most = journey.measure("poll", "--json")
        assert polled.code == 0, polled.errors[-2000:]
        assert polled.json["errors"] == 0
        assert journey.altinn.count("list") == 300 * 11
        assert most < 200 << 20
