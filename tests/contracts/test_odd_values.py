"""Values that no contract allows: whatever stands in a field, the letter comes once, goes
everywhere, and holds up no other."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from connectors.sandbox.altinn3.faults import Fault
from connectors.sandbox.http_server import Response
from connectors.sandbox.letters import PretendLetter, RawJson
from daemon.core.model import DeliveryState, Outcome, SightingState
from tests.contracts.odd_world import DESTINATIONS, PARTY, RESOURCE, World, odd_world

HALF = "\ud800"
TIMES: tuple[Any, ...] = (
    "0001-01-01T00:00:00+00:00",
    "0001-01-01T00:00:00",
    "0001-01-01T00:00:00+01:00",
    "9999-12-31T23:59:59.9999999+00:00",
    "9999-12-31T23:59:59.9999999",
    "9999-12-31T23:00:00-01:00",
    "1970-01-01T00:00:00Z",
    "9998-12-31T23:59:59Z",
    "0002-01-01T00:00:00Z",
    "+999999999-12-31T23:59:59.999999999",
    "",
    0,
    RawJson("9" * 5000),
)
NUMBERS: tuple[Any, ...] = (
    0,
    -1,
    2**63 - 1,
    2**63,
    -(2**63) - 1,
    10**30,
    RawJson("9" * 5000),
    1.5,
    RawJson("1e999"),
    RawJson("NaN"),
    "7",
)
TEXTS: tuple[Any, ...] = (
    f"a{HALF}b",
    "\udfff",
    "a\0b",
    f"\ufffe{HALF}{HALF}",
    10**30,
    [HALF],
    {HALF: HALF},
)
DEEP: tuple[Any, ...] = tuple(
    RawJson('{"senderOrgNumber":' * n + "1" + "}" * n) for n in (32, 33, 100, 300, 900, 100_000)
)
LETTER_TIMES = (
    "published",
    "requestedPublishTime",
    "created",
    "statusChanged",
    "dueDateTime",
    "read",
)
LETTER_TEXTS = (
    "messageTitle",
    "messageSummary",
    "messageBody",
    "language",
    "messageSender",
    "sendersReference",
    "sender",
    "status",
)
PART_TEXTS = ("fileName", "displayName", "dataType", "checksum", "status", "sendersReference")
LISTS = ("externalReferences", "replyOptions")


@pytest.fixture(name="world")
def new_world(tmp_path: Path) -> Iterator[World]:
    with odd_world(tmp_path) as world:
        yield world


def goes_everywhere(world: World, odd: set[str]) -> None:
    """Check that after two polls and deliveries every letter is here and everywhere, and so is one
    that comes after them all."""
    plain = world.publish()
    first = world.poll()
    assert first.problems == []
    assert world.stored() == {*odd, plain}
    assert world.deliver() == {Outcome.DELIVERED: len(DESTINATIONS) * (len(odd) + 1)}
    later = world.publish()
    again = world.poll()
    assert (again.problems, again.fetched, world.stored()) == ([], 1, {*odd, plain, later})
    assert world.deliver() == {Outcome.DELIVERED: len(DESTINATIONS)}
    assert not world.store.queries.deliveries(state=DeliveryState.PENDING)


def test_times_and_numbers(world: World) -> None:
    """Every time and number of a letter and its attachment, with what .NET and Java leave there,
    and what no column holds."""
    odd = {world.publish(**{name: value}) for name, value in product(LETTER_TIMES, TIMES)}
    odd |= {world.publish({"expirationTime": value}) for value in TIMES}
    odd |= {world.publish(altinn2CorrespondenceId=value) for value in NUMBERS}
    odd |= {world.publish(**dict.fromkeys(LETTER_TIMES, value)) for value in TIMES}
    odd |= {world.publish(propertyList={"tall": value}) for value in (*NUMBERS, *TIMES)}
    goes_everywhere(world, odd)
    messages = [world.store.queries.message(each) for each in odd]
    assert all(
        part.state == "present"
        for each in messages
        for part in world.store.queries.attachments(each.id)
    )


def test_texts_and_json(world: World) -> None:
    """Every text with halves of surrogate pairs and NUL, keys too; and JSON that is nested without
    end."""
    odd = {world.publish(**{name: value}) for name, value in product(LETTER_TEXTS, TEXTS)}
    odd |= {world.publish({name: value}) for name, value in product(PART_TEXTS, TEXTS)}
    odd |= {
        world.publish(**{name: [{"a": value}]}) for name, value in product(LISTS, (*TEXTS, *DEEP))
    }
    odd |= {world.publish(propertyList=value) for value in (*TEXTS, *DEEP)}
    odd |= {
        world.publish(propertyList={f"a{HALF}": 1, "a\udfff": 2}),
        world.publish(newField=DEEP[-1]),
    }
    goes_everywhere(world, odd)


def test_what_is_left_out_is_remarked(world: World, tmp_path: Path) -> None:
    """JSON that is too deep for readers is left out from the level that is said, with a remark;
    what is above it is handed on."""
    deep = world.publish(
        propertyList=RawJson('{"vedlegg": {"' + 'a":{"' * 900 + 'a":1' + "}" * 902),
        messageTitle="dypt",
    )
    world.publish(messageTitle="grunt")
    world.poll()
    world.deliver()
    found = {
        each["title"]: each
        for each in map(
            json.loads, (path.read_text() for path in (tmp_path / "folder").glob("*/message.json"))
        )
    }
    assert found["dypt"]["remarks"] == [
        "properties: what is nested deeper than 32 levels is left out (null)"
    ]
    assert found["dypt"]["source"]["id"] == deep
    level, value = 0, found["dypt"]["properties"]
    while isinstance(value, dict):
        level, (value,) = level + 1, value.values()
    assert (level, value) == (32, None)
    assert "remarks" not in found["grunt"]


@pytest.mark.parametrize(
    "at", ["9999-12-31T23:59:59.999999", "2999-01-01T00:00:00", "0001-01-01T00:00:00"]
)
def test_a_letter_on_an_impossible_day_of_the_list(world: World, at: str) -> None:
    """A letter that the list itself puts at an end of time, or into the future, is stored once, and
    hides none that comes later."""
    day = datetime.fromisoformat(at).replace(tzinfo=UTC)
    strange = world.altinn.publish(
        PretendLetter(party=PARTY, resource=RESOURCE, requested_at=day, published_at=day)
    )
    goes_everywhere(world, {strange})
    position = world.store.bookmarks.of_channel("altinn", world.mailbox.channels()[0]).position
    assert position
    assert position <= datetime.now(UTC)


@pytest.mark.parametrize(
    "flag",
    ["false", "", 0, [], {"value": False}, RawJson("NaN"), RawJson("9" * 5000), HALF],
    ids=lambda flag: ascii(flag)[:24],
)
def test_a_flag_that_is_no_flag_guards_the_letter(world: World, flag: Any) -> None:
    """A letter whose isConfidential is anything but true, false or null reaches nobody who is not
    appointed for confidential post."""
    odd, plain = world.publish(isConfidential=flag), world.publish(isConfidential=None)
    with capture_logs() as lines:
        world.poll()
    assert [line["external_id"] for line in lines if line.get("flags") == ["isConfidential"]] == [
        odd
    ]
    assert world.stored() == {plain}
    assert [each.external_id for each in world.store.queries.sightings(SightingState.WAITING)] == [
        odd
    ]


def test_an_id_that_is_no_text(world: World) -> None:
    """A letter that the list names by half a surrogate pair cannot be asked for: it is told, and
    the others come."""
    world.altinn.publish(PretendLetter(party=PARTY, resource=RESOURCE, id="a\ud800\0"))
    plain = world.publish()
    assert ["letter a\ufffd\ufffd" in each for each in world.poll().problems] == [True]
    assert world.stored() == {plain}


def test_what_maskinporten_says_can_be_kept(world: World) -> None:
    """A refusal whose words no database holds is told like any other."""
    body = b'{"error": "invalid_grant", "error_description": "MP-100 \\ud800\\u0000"}'
    world.altinn.faults.inject(
        Fault(name="odd", instead=lambda: Response(status=400, body=body)), "token"
    )
    assert ["MP-100" in each for each in world.poll().problems] == [True]
    assert "MP-100 \ufffd\ufffd" in (
        world.store.bookmarks.of_channel("altinn", world.mailbox.channels()[0]).last_error or ""
    )


ENDS = ("9999-12-31 23:59:59.999999", "0001-01-01 00:00:00.000000")


def change(base: Path, statement: str, *values: str) -> None:
    """Put into the database what a version before has left there."""
    with sqlite3.connect(base / "postmottak.db") as connection:
        assert connection.execute(statement, values).rowcount
    connection.close()


@pytest.mark.parametrize("end", ENDS)
def test_a_letter_that_is_stored_already_goes_everywhere(
    world: World, tmp_path: Path, end: str
) -> None:
    """What a version before has let into the store is delivered as well, beside letters that are as
    they should be."""
    some = [world.publish() for _ in range(3)]
    world.poll()
    odd = world.store.queries.message(some[1]).id.hex
    deep = '{"a":' * 900 + '"\\ud800"' + "}" * 900
    wrong = '[{"\\ud800": NaN, "b": 1' + "0" * 30 + "}]"
    change(
        tmp_path,
        "UPDATE messages SET due_at=?, published_at=?, created_at=?, requested_at=? WHERE id=?",
        *[end] * 4,
        odd,
    )
    change(
        tmp_path,
        'UPDATE messages SET properties=?, "references"=?, reply_options=? WHERE id=?',
        deep,
        wrong,
        wrong,
        odd,
    )
    assert world.deliver() == {Outcome.DELIVERED: 3 * len(DESTINATIONS)}


@pytest.mark.parametrize("end", ENDS)
def test_a_bookmark_that_is_at_an_end_of_time(world: World, tmp_path: Path, end: str) -> None:
    """A bookmark that a letter has put at an end of time ends no poll, and what it has hidden since
    is found."""
    world.publish()
    world.poll()
    hidden = world.publish()
    change(tmp_path, "UPDATE bookmarks SET position=?", end)
    assert (world.poll().problems, hidden in world.stored()) == ([], True)
    position = world.store.bookmarks.of_channel("altinn", world.mailbox.channels()[0]).position
    assert position
    assert datetime(2026, 1, 1, tzinfo=UTC) < position <= datetime.now(UTC)
    assert (world.poll().problems, world.poll().fetched) == ([], 0)
