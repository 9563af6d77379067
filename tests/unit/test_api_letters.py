"""The pull API as an ERP's developer meets it: the letter, the list of what waits, the answers, the
errors and the digests."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http import HTTPStatus
from typing import Any
from uuid import UUID

import httpx
import jsonschema
import pytest

from connectors.webhooks.event import links
from daemon.core.document import letter_document
from daemon.core.model import delivery_id
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from tests.parcels import new_parcel
from tests.unit.conftest import NOW, ROOT, sha256, stored_letter
from tests.unit.test_api import ask

pytestmark = pytest.mark.both_databases

SCHEMA = json.loads((ROOT / "docs" / "message.schema.json").read_text(encoding="utf-8"))
PROBLEM = "application/problem+json"
MEMBERS = {"type", "title", "status", "detail"}


def keep(store: Store, *names: str, destinations: tuple[str, ...] = ("erp",)) -> list[UUID]:
    """Store letters that were delivered, and return the ids of their first deliveries."""
    letters = [stored_letter(name, destinations) for name in names]
    store.letters.add(letters)
    change(store, "UPDATE deliveries SET state = 'delivered'")
    return [letter.deliveries[0].id for letter in letters]


def change(store: Store, statement: str) -> None:
    """Change the database behind the store's back."""
    with store.letters._database.write() as session:
        session.connection().exec_driver_sql(statement)


def pages(store: Store, content: ContentFolder, **query: Any) -> Iterator[list[str]]:
    """The ids of the deliveries on each page of the list."""
    cursor: str | None = ""
    while cursor is not None:
        found = ask(store, content, "GET", "/deliveries", params={**query, "cursor": cursor}).json()
        yield [each["delivery"]["id"] for each in found["letters"]]
        cursor = found["next_cursor"]


def test_the_letter_is_the_drops_letter(store: Store, content: ContentFolder) -> None:
    """The API's letter has the bytes of a drop's message.json, and is valid by the same schema."""
    letter = stored_letter("a", ("erp",))
    store.letters.add([letter])
    found = ask(store, content, "GET", f"/messages/{letter.message.id}")
    jsonschema.Draft202012Validator(SCHEMA).validate(found.json())
    dropped = letter_document(
        letter.message, letter.attachments, letter.decision, letter.deliveries[0]
    )
    assert found.text == dropped.model_dump_json(indent=2) + "\n"


def test_whose_copy_it_is(store: Store, content: ContentFolder) -> None:
    """Of a letter at several destinations, the copy that is asked for is shown, and none without
    being asked for: the answer names the parameter."""
    letter = stored_letter("a", ("post", "erp", "arkiv"))
    store.letters.add([letter])
    change(store, "UPDATE deliveries SET state = 'delivered' WHERE destination = 'erp'")
    address = f"/messages/{letter.message.id}"
    asked = ask(store, content, "GET", address, params={"destination": "arkiv"}).json()
    assert asked["delivery"]["id"] == str(delivery_id(letter.message.id, "arkiv", 1))
    unclear = ask(store, content, "GET", address)
    assert (unclear.status_code, unclear.headers["content-type"]) == (400, PROBLEM)
    assert "?destination=" in unclear.json()["detail"]
    missing = ask(store, content, "GET", address, params={"destination": "rep"})
    assert (missing.status_code, "rep" in missing.json()["detail"]) == (404, True)


def test_a_withdrawn_copy_does_not_count(store: Store, content: ContentFolder) -> None:
    """A letter that goes elsewhere now is at one destination, which need not be named."""
    letter = stored_letter("a", ("post", "erp"))
    store.letters.add([letter])
    change(store, "UPDATE deliveries SET state = 'withdrawn' WHERE destination = 'post'")
    address = f"/messages/{letter.message.id}"
    assert ask(store, content, "GET", address).json()["routing"]["destination"] == "erp"
    gone = ask(store, content, "GET", address, params={"destination": "post"})
    assert gone.status_code == 404


@pytest.mark.parametrize("destination", ["erp", "post på Ås & co"])
def test_a_webhooks_link_leads_to_its_own_copy(
    store: Store, content: ContentFolder, destination: str
) -> None:
    """While a webhook is posted, its link shows the delivery that it announces, whatever has
    arrived elsewhere, or there before: the receiver acknowledges no other."""
    letter = stored_letter("a", ("arkiv", destination))
    store.letters.add([letter])
    change(store, "UPDATE deliveries SET state = 'delivered'")
    (again,) = store.outbox.resend([letter.deliveries[1].id], NOW)
    change(store, "UPDATE deliveries SET state = 'claimed' WHERE generation = 2")
    made = new_parcel(destination=destination, generation=2)
    parcel = replace(made, document=made.document.model_copy(update={"id": letter.message.id}))
    found = ask(store, content, "GET", links(parcel, "http://api")["message"]).json()
    assert found["delivery"] == {"id": str(again), "generation": 2}


def test_what_waits_is_listed_in_pages(store: Store, content: ContentFolder) -> None:
    """Every delivered and unanswered letter of a destination is on exactly one page, also when some
    are answered while the list is read."""
    ids = keep(store, *(f"letter {number}" for number in range(7)), destinations=("erp", "b"))
    store.letters.add([stored_letter("not delivered")])
    ask(store, content, "POST", f"/deliveries/{ids[0]}/ack")
    ask(store, content, "POST", f"/deliveries/{ids[1]}/reject")
    listed = list(pages(store, content, destination="erp", limit=2))
    assert [len(page) for page in listed] == [2, 2, 1]
    assert {each for page in listed for each in page} == set(map(str, ids[2:]))
    assert sum(len(page) for page in pages(store, content)) == 5 + 7
    seen = []
    for page in pages(store, content, destination="erp", limit=2):
        for each in page:
            assert ask(store, content, "POST", f"/deliveries/{each}/ack").status_code == 204
            seen.append(each)
    assert sorted(seen) == sorted(map(str, ids[2:]))
    assert list(pages(store, content, destination="erp")) == [[]]


def test_a_long_list_of_answered_letters_is_read_in_pieces(
    store: Store, content: ContentFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One call looks through a bounded number of rows; what waits behind them comes on a later
    page."""
    monkeypatch.setattr("daemon.store.handed_over.ROWS", 2)
    monkeypatch.setattr("daemon.store.handed_over._PIECES", 2)
    ids = keep(store, *(f"letter {number}" for number in range(9)))
    for each in ids:
        ask(store, content, "POST", f"/deliveries/{each}/ack")
    (last,) = keep(store, "the last one")
    listed = list(pages(store, content, destination="erp"))
    assert len(listed) > 1
    assert [each for page in listed for each in page] == [str(last)]


def test_the_first_answer_stands(store: Store, content: ContentFolder) -> None:
    """The same answer again is harmless and keeps the first reason; the other is a conflict."""
    taken, rejected = keep(store, "a", "b")

    def answers(delivery: UUID, *verbs: str) -> list[int]:
        return [
            ask(
                store, content, "POST", f"/deliveries/{delivery}/{verb}", json={"reason": verb}
            ).status_code
            for verb in verbs
        ]

    assert answers(taken, "ack", "ack", "reject") == [204, 204, 409]
    assert answers(rejected, "reject", "reject", "ack") == [204, 204, 409]
    assert store.queries.delivery_by_id(taken).rejection is None
    assert store.queries.delivery_by_id(rejected).taken_at is None
    waiting = stored_letter("c")
    store.letters.add([waiting])
    assert answers(waiting.deliveries[0].id, "ack", "reject") == [409, 409]


def test_of_two_answers_at_once_one_stands(store: Store, content: ContentFolder) -> None:
    """A consumer that gives both answers at the same moment hears which one stands."""
    ids = keep(store, *(f"letter {number}" for number in range(8)))
    calls = [f"/deliveries/{each}/{verb}" for each in ids for verb in ("ack", "reject")]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda path: ask(store, content, "POST", path).status_code, calls))
    for each, taken, rejected in zip(ids, found[::2], found[1::2], strict=True):
        delivery = store.queries.delivery_by_id(each)
        assert {taken, rejected} == {204, 409}
        assert (delivery.taken_at is not None, delivery.rejection is not None) == (
            taken == 204,
            rejected == 204,
        )


def attachment(store: Store, content: ContentFolder) -> str:
    """The address of an attachment that is here."""
    kept = content.put([b"0123456789"])
    letter = stored_letter("a")
    letter.attachments[0].sha256, letter.attachments[0].size = kept.sha256, kept.size
    store.letters.add([letter])
    return f"/messages/{letter.message.id}/attachments/1"


ERRORS: list[tuple[int, str, str, dict[str, Any]]] = [
    (400, "GET", "{file}", {"headers": {"Range": "bytes=x"}}),
    (400, "GET", "/deliveries?limit=0", {}),
    (400, "GET", "/deliveries?limit=many", {}),
    (400, "GET", "/deliveries?limit=", {}),
    (400, "GET", "/deliveries?limit=101", {}),
    (400, "GET", "/deliveries?limit=0000000101", {}),
    (400, "GET", f"/deliveries?limit={'0' * 9}1", {}),
    (400, "GET", f"/deliveries?limit=000000001{'0' * 9}", {}),
    (400, "GET", f"/deliveries?limit=000000001{'0' * 5000}", {}),
    (400, "GET", "/deliveries?cursor=x", {}),
    (400, "GET", "/deliveries?limit=5&limit=6", {}),
    (400, "GET", "/deliveries?limit=5&limit=5", {}),
    (400, "GET", "/deliveries?limits=5", {}),
    (400, "GET", "{file}?destination=erp", {}),
    (400, "POST", "/deliveries/{none}/ack?reason=no", {}),
    (400, "GET", "/deliveries?cursor=eHg%3D", {}),
    (400, "POST", "/deliveries/{none}/reject", {"content": b"["}),
    (401, "GET", "/deliveries", {"headers": {"Authorization": "Bearer wrong"}}),
    (404, "GET", "/nothing", {}),
    (404, "GET", "/deliveries/", {}),
    (404, "GET", "{file}/", {}),
    (404, "GET", "/messages/{none}/attachments/%2e%2e%2f", {}),
    (404, "GET", "/messages/{none}", {}),
    (404, "GET", "/messages/not-an-id", {}),
    (404, "GET", "/deliveries?destination=rep", {}),
    (404, "POST", "/deliveries/{none}/ack", {}),
    (405, "DELETE", "/deliveries", {}),
    (405, "GET", "/deliveries/{none}/ack", {}),
    (416, "GET", "{file}", {"headers": {"Range": "bytes=100-200"}}),
]


@pytest.mark.parametrize(("status", "method", "path", "what"), ERRORS)
def test_every_error_is_a_problem(
    store: Store,
    content: ContentFolder,
    status: int,
    method: str,
    path: str,
    what: dict[str, Any],
) -> None:
    """Whatever is wrong, the answer is problem+json by RFC 9457, with its status."""
    file, none = attachment(store, content), "00000000-0000-0000-0000-000000000001"
    found = ask(store, content, method, path.format(file=file, none=none), **what)
    assert (found.status_code, found.headers["content-type"]) == (
        status,
        PROBLEM,
    )
    problem = found.json()
    assert (set(problem), problem["status"], problem["type"]) == (MEMBERS, status, "about:blank")
    assert problem["title"] == HTTPStatus(status).phrase
    assert len(problem["detail"]) > 10
    assert found.headers.get("allow", "") == {405: found.headers.get("allow")}.get(status, "")
    assert ("content-range" in found.headers) == (status == 416)


def test_a_failure_of_ours_is_a_problem(
    store: Store, content: ContentFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even a fault of the service is reported as a problem, without a word of the letter."""
    (delivery,) = keep(store, "a")
    message = store.queries.delivery_by_id(delivery).message_id
    monkeypatch.setattr("daemon.web.api.letter_document", None)
    found = ask(store, content, "GET", f"/messages/{message}")
    assert (found.status_code, found.json()["status"]) == (500, 500)
    assert "NoneType" not in found.text


def digest(found: httpx.Response, header: str) -> bytes:
    """The SHA-256 of a header by RFC 9530."""
    return base64.b64decode(
        found.headers[header].removeprefix("sha-256=:").removesuffix(":"), validate=True
    )


def test_digests(store: Store, content: ContentFolder) -> None:
    """What is fetched can be verified by RFC 9530, also when it is put together of ranges; the
    older header is still there."""
    address = attachment(store, content)
    whole = ask(store, content, "GET", address)
    assert digest(whole, "Repr-Digest") == digest(whole, "Content-Digest")
    assert digest(whole, "Content-Digest") == hashlib.sha256(whole.content).digest()
    assert whole.headers["Digest"] == f"sha-256={sha256(whole.content)}"
    parts = [
        ask(store, content, "GET", address, headers={"Range": f"bytes={part}"})
        for part in ("0-3", "4-9")
    ]
    joined = b"".join(each.content for each in parts)
    assert {digest(each, "Repr-Digest") for each in parts} == {hashlib.sha256(joined).digest()}
    assert not any("Content-Digest" in each.headers for each in parts)
    letter = address.partition("/attachments")[0]
    for path in (letter, f"{letter}/body"):
        found = ask(store, content, "GET", path)
        assert digest(found, "Content-Digest") == hashlib.sha256(found.content).digest()


def test_a_file_that_is_missing(store: Store, content: ContentFolder) -> None:
    """An attachment whose bytes have gone from the content store is a problem in words."""
    address = attachment(store, content)
    for path in content._folder.rglob("*"):
        if path.is_file():
            path.unlink()
    found = ask(store, content, "GET", address)
    assert (found.status_code, "db check" in found.json()["detail"]) == (500, True)
