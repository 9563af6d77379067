"""The pull API beside its journey: tokens, odd reasons, and a database that does not answer."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from daemon.core.model import delivery_id
from daemon.monitoring.service_problems import ServiceProblems
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from daemon.web.api import Api
from daemon.web.tokens import TokenGuard, TokenVerdict
from tests.unit.conftest import NOW, Clock, stored_letter

TOKEN = "blåbær og mer"


def ask(store: Store, kept: ContentFolder, method: str, path: str, **what: Any) -> httpx.Response:
    """The API's answer to somebody with the token."""
    api = Api(
        store=store,
        content=kept,
        tokens=TokenGuard(TOKEN),
        clock=lambda: NOW,
        destinations=lambda: ["erp", "post", "arkiv", "b", "post på Ås & co"],
    )

    async def answer() -> httpx.Response:
        transport = httpx.ASGITransport(api.application(), raise_app_exceptions=False)
        headers = {b"Authorization": b"Bearer " + TOKEN.encode()}
        async with httpx.AsyncClient(
            transport=transport, base_url="http://api/api/v1", headers=headers
        ) as client:
            return await client.request(method, path, **what)

    return asyncio.run(answer())


NO_REASON = "rejected without a reason"


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (b'{"reason": "\\ud800 half"}', "? half"),
        (b'{"reason": " ukjent kunde\\n"}', "ukjent kunde"),
        (b'{"reason": null}', NO_REASON),
        (b'{"reason": " \\n"}', NO_REASON),
        (b'{"code": 1}', NO_REASON),
        (b"", NO_REASON),
        (b'{"reason": [1]}', None),
        (b'{"reason": {"code": 1}}', None),
        (b'{"reason": 0}', None),
        (b'{"reason": false}', None),
        (b"[" * 20_000, None),
        (b"[1]", None),
        (b"null", None),
        (b"\xff", None),
    ],
    ids=lambda value: value[:24].decode("ascii", "replace") if isinstance(value, bytes) else "",
)
def test_odd_reasons(store: Store, content: ContentFolder, body: bytes, kept: str | None) -> None:
    """A reason is kept in the program's own words, or it is none; anything that is not text is
    refused, and nothing ends in an internal error."""
    letter = stored_letter("a")
    store.letters.add([letter])
    with store.letters._database.write() as session:
        session.connection().exec_driver_sql("UPDATE deliveries SET state = 'delivered'")
    delivery = delivery_id(letter.message.id, "erp", 1)
    found = ask(store, content, "POST", f"/deliveries/{delivery}/reject", content=body)
    assert found.status_code == (400 if kept is None else 204)
    assert store.queries.delivery_by_id(delivery).rejection == kept


def test_a_database_that_does_not_answer(store: Store, content: ContentFolder) -> None:
    """The caller hears that it should come again, and not a word of why."""
    with store.letters._database.write() as session:
        session.connection().exec_driver_sql("DROP TABLE messages")
    found = ask(store, content, "GET", "/messages/00000000-0000-0000-0000-000000000001")
    assert (found.status_code, found.headers["Retry-After"], "messages" in found.text) == (
        503,
        "60",
        False,
    )


def test_the_right_token_is_never_locked_out(clock: Clock) -> None:
    """However many wrong ones came, the right one is right; the many are a problem until there were
    none for an hour."""
    problems = ServiceProblems()
    tokens = TokenGuard(TOKEN, problems, clock=lambda: clock().timestamp())
    right, wrong = (
        b"bearer " + TOKEN.encode(),
        [b"", b"Bearer", b"Bearer x", b"Basic " + TOKEN.encode()],
    )
    verdicts = [tokens.judge(wrong[number % 4]) for number in range(12)]
    assert verdicts == [TokenVerdict.WRONG] * 9 + [TokenVerdict.TOO_MANY] * 3
    assert (tokens.judge(right), tokens.wrong, len(problems.all())) == (TokenVerdict.RIGHT, 12, 1)
    clock.advance(minutes=59)
    assert (tokens.judge(wrong[0]), len(problems.all())) == (TokenVerdict.WRONG, 1)
    clock.advance(minutes=61)
    assert problems.all() == ()


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (b'{"by": " kari@example.no ", "note": "ringer"}', ("kari@example.no", "ringer")),
        (b'{"by": "kari", "note": null, "more": 1}', ("kari", "")),
        (b'{"by": "\\ud800\\u0000"}', ("?\ufffd", "")),
        (b'{"by": "' + b"k" * 200 + b'"}', ("k" * 100, "")),
        (b'{"by": " "}', None),
        (b'{"by": 1}', None),
        (b'{"by": "kari", "note": 1}', None),
        (b"{}", None),
        (b"", None),
        (b"[" * 20_000, None),
    ],
)
def test_a_program_says_which_person_has_a_letter(
    store: Store, content: ContentFolder, body: bytes, kept: tuple[str, str] | None
) -> None:
    """Who is named has it from then on; what names nobody is refused and changes nothing."""
    letter = stored_letter()
    store.letters.add([letter])
    path = f"/messages/{letter.message.id}/acknowledge"
    answer = ask(store, content, "POST", path, content=body)
    answers = store.acknowledgements.of(letter.message.id)
    assert [(each.by, each.note) for each in answers] == ([kept] if kept else [])
    assert answer.status_code == (200 if kept else 400)
    if kept:
        assert (answer.json()["by"], answer.json()["note"]) == kept
        again = ask(store, content, "POST", path, json={"by": "ola"})
        assert again.json() == answer.json()
        (event,) = store.events.page(kind="letter-acknowledged")
        assert (event.user, event.about) == ("api", kept[0])


def test_nobody_has_a_letter_that_is_not_here(store: Store, content: ContentFolder) -> None:
    """The answer is 404, as for every other call."""
    path = f"/messages/{delivery_id(stored_letter().message.id, 'x', 1)}/acknowledge"
    assert ask(store, content, "POST", path, json={"by": "ola"}).status_code == 404
