"""Events: subscriptions are made and renewed, and an event wakes the bell and does nothing else."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from connectors.altinn3 import events
from connectors.altinn3.events import Subscriptions
from connectors.sandbox.altinn3.access import RECIPIENT_SCOPES, ReadyClient
from connectors.sandbox.altinn3.server import FakeAltinn
from connectors.sandbox.letters import PretendLetter
from daemon.core.bookkeeping import EVENTS
from daemon.core.errors import AccessRefused, ConfigurationError
from daemon.core.ports import Finding
from daemon.core.push import Door
from daemon.monitoring.service_problems import ServiceProblems
from daemon.service import bell_loop, push
from daemon.service.app import App, open_app
from daemon.service.push import Subscriber, check_events
from daemon.service.stack import load
from daemon.service.supervisor import Supervisor
from tests.unit.conftest import PARTY
from tests.unit.service.test_bell_loop import POST, drops, write

SECRET = "s3cret_" * 6
PUBLIC = "https://post.example.no/altinn/"
HOUR = {"bell_every": "59m"}


@pytest.fixture
def altinn() -> Iterator[FakeAltinn]:
    with FakeAltinn() as running:
        running.events.retries = (0.2,) * 20
        yield running
        running.events.close()


@pytest.fixture
def client(altinn: FakeAltinn) -> ReadyClient:
    ready = altinn.ready_client()
    altinn.allow(ready.client_id, PARTY, [POST])
    return ready


@pytest.fixture
def port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def configure(
    folder: Path, altinn: FakeAltinn, client: ReadyClient, port: int, secret: str = SECRET
) -> Path:
    file = write(folder, altinn, client, **HOUR)
    (folder / "events.secret").write_text(secret)
    (folder / "events.secret").chmod(0o600)
    section = f'\n[events]\npublic_url = "{PUBLIC}"\nsecret_file = "events.secret"\n'
    file.write_text(file.read_text() + f'{section}listen = "127.0.0.1:{port}"\n')
    return file


@contextmanager
def running(file: Path) -> Iterator[App]:
    with open_app(load(file)) as app:
        supervisor = Supervisor(app)
        thread = threading.Thread(target=supervisor.run)
        thread.start()
        try:
            yield app
        finally:
            supervisor.stop()
            thread.join(30)
            assert not thread.is_alive()


def is_validated(altinn: FakeAltinn) -> bool:
    found = altinn.events.all()
    return bool(found) and all(each.validated for each in found)


def test_a_letter_arrives_by_an_event(
    tmp_path: Path,
    altinn: FakeAltinn,
    client: ReadyClient,
    port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With nearly an hour between rounds of the bell, a letter is delivered at once; after a
    restart nothing is subscribed to twice; and no log has the secret."""
    monkeypatch.setattr(bell_loop, "LEAST", 0.5)
    altinn.events.doors[PUBLIC] = f"http://127.0.0.1:{port}/"
    file = configure(tmp_path, altinn, client, port)
    with capture_logs() as logs:
        for number in (1, 2):
            with running(file):
                assert altinn.wait_for(lambda: is_validated(altinn), timeout=30)
                assert altinn.wait_for_calls("dialogsearch", number, timeout=30)
                altinn.publish(PretendLetter(party=PARTY))
                assert altinn.wait_for(partial(_has_dropped, tmp_path, number), timeout=30)
    (only,) = altinn.events.all()
    assert only.told["typeFilter"] == "no.altinn.correspondence.correspondencepublished"
    assert altinn.count("subscribe") == 1
    assert SECRET not in json.dumps(logs, default=str)


def test_forged_events_cost_few_calls(
    tmp_path: Path,
    altinn: FakeAltinn,
    client: ReadyClient,
    port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever has the secret, or guesses at it, has the bell asked once in `_LEAST` seconds at
    most, and nothing is fetched that is not there."""
    monkeypatch.setattr(bell_loop, "LEAST", 2.0)
    altinn.events.doors[PUBLIC] = f"http://127.0.0.1:{port}/"
    with running(configure(tmp_path, altinn, client, port)):
        assert altinn.wait_for(lambda: is_validated(altinn), timeout=30)
        assert altinn.wait_for_calls("dialogsearch", 1, timeout=30)
        altinn.forget_calls()
        forged = {"type": "no.altinn.correspondence.correspondencepublished", "id": "x"}
        ends = time.monotonic() + 5
        with httpx.Client() as http:
            while time.monotonic() < ends:
                http.post(f"http://127.0.0.1:{port}/{SECRET}", json=forged)
                http.post(f"http://127.0.0.1:{port}/wrong", json=forged)
        assert 1 <= altinn.count("dialogsearch") <= 3
        assert altinn.count("overview") == 0


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", SECRET, b'{"type": "platform.events.validatesubscription"}', 200),
        ("POST", SECRET, b'{"type": "whatever"}', 200),
        ("POST", SECRET, b"{}", 400),
        ("POST", SECRET, b"[" * 60_000, 400),
        ("POST", SECRET, b"\xff", 400),
        ("POST", SECRET, b" " * 70_000, 413),
        ("GET", SECRET, b"", 405),
        ("POST", SECRET[:-1], b'{"type": "x"}', 404),
        ("POST", "", b"", 404),
        ("POST", "metrics", b"", 404),
        ("POST", "\u00e6", b"", 404),
    ],
)
def test_what_the_endpoint_answers(
    tmp_path: Path,
    altinn: FakeAltinn,
    client: ReadyClient,
    port: int,
    method: str,
    path: str,
    body: bytes,
    status: int,
) -> None:
    """Without the secret there is nothing; with it, only a CloudEvent is taken."""
    with running(configure(tmp_path, altinn, client, port)):
        assert altinn.wait_for(lambda: _is_open(port), timeout=30)
        answer = httpx.request(method, f"http://127.0.0.1:{port}/{path}", content=body)
    assert answer.status_code == status
    assert SECRET not in answer.text


def _has_dropped(folder: Path, number: int) -> bool:
    return drops(folder) == number


def _is_open(port: int) -> bool:
    with socket.socket() as found:
        return found.connect_ex(("127.0.0.1", port)) == 0


class Kept:
    """The subscriptions of a mailbox without a service around it."""

    def __init__(self, folder: Path, altinn: FakeAltinn, client: ReadyClient) -> None:
        file = write(folder, altinn, client, **HOUR)
        self.app_file, self.altinn = file, altinn
        self.problems = ServiceProblems()

    @contextmanager
    def subscriber(self, secret: str = SECRET) -> Iterator[Subscriber]:
        door = Door(address=PUBLIC, endpoint=PUBLIC + secret)
        with open_app(load(self.app_file)) as app:
            yield Subscriber(app.mailboxes, door, self.problems)

    @property
    def kinds(self) -> list[str]:
        return [each.kind for each in self.problems.all()]


@pytest.fixture
def kept(tmp_path: Path, altinn: FakeAltinn, client: ReadyClient) -> Kept:
    return Kept(tmp_path, altinn, client)


def test_a_door_that_nobody_opens_is_said(kept: Kept) -> None:
    """While nothing is validated the subscription is made anew, and it is a problem that says so,
    without the secret; it ends when the door is open."""
    with kept.subscriber() as subscriber:
        assert not subscriber.look()
        assert kept.kinds == []  # validation may take a while
        first = kept.altinn.events.all()[0].id
        assert not subscriber.look()
        assert [each.id == first for each in kept.altinn.events.all()] == [False]
        (problem,) = kept.problems.all()
        assert (problem.kind, problem.critical) == (EVENTS, False)
        assert "not validated" in problem.text
        assert SECRET not in problem.text
        for each in kept.altinn.events.all():
            each.validated = True
        assert subscriber.look()
        assert kept.kinds == []


def test_what_the_other_side_removed_is_made_again(kept: Kept) -> None:
    """Subscriptions can be gone at any time."""
    with kept.subscriber() as subscriber:
        subscriber.look()
        kept.altinn.events.lose_all()
        subscriber.look()
    assert len(kept.altinn.events.all()) == 1


def test_many_are_made_some_at_a_time(
    kept: Kept, client: ReadyClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the service can stop between; in the end each has one, and no more than there may be."""
    monkeypatch.setattr(events, "_AT_A_TIME", 2)
    monkeypatch.setattr(events, "MOST", 5)
    resources = [f"dpv-{number}" for number in range(7)]
    kept.altinn.allow(client.client_id, PARTY, resources)
    told = json.dumps([POST, *resources])
    kept.app_file.write_text(kept.app_file.read_text().replace(f'["{POST}"]', told))
    with kept.subscriber() as subscriber:
        made = []
        for _ in range(3):
            subscriber.look()
            made.append((len(kept.altinn.events.all()), subscriber.has_more))
    assert made == [(2, True), (4, True), (5, False)]


def test_a_new_secret_replaces_the_old_one(kept: Kept) -> None:
    """Of several with our address only that with the secret in force stays; others' are left."""
    with kept.subscriber() as subscriber:
        subscriber.look()
    (mine,) = kept.altinn.events.all()
    foreign = {**mine.told, "endPoint": "https://other.example.no/x"}
    with kept.altinn.events._lock:
        kept.altinn.events._new(mine.consumer, foreign)
    new = "another_" * 5
    with kept.subscriber(new) as subscriber:
        subscriber.look()
    endpoints = {each.endpoint for each in kept.altinn.events.all()}
    assert endpoints == {PUBLIC + new, "https://other.example.no/x"}


def test_without_the_scope_it_is_said_what_to_order(kept: Kept, client: ReadyClient) -> None:
    """It is a problem that names the scope, and nothing more is tried than needed."""
    registered = kept.altinn.access.client(client.client_id)
    assert registered
    registered.scopes = frozenset(set(RECIPIENT_SCOPES) - {"altinn:events.subscribe"})
    with kept.subscriber() as subscriber:
        assert not subscriber.look()
    (problem,) = kept.problems.all()
    assert "altinn:events.subscribe" in problem.text


def test_check_looks_and_changes_nothing(kept: Kept) -> None:
    """It says how many subscriptions are in use, and makes none."""
    door = Door(address=PUBLIC, endpoint=PUBLIC + SECRET)

    def found() -> Finding:
        with open_app(load(kept.app_file)) as app:
            (finding,) = check_events(app.mailboxes[0], door)
        assert SECRET not in finding.text
        return finding

    before = found()
    assert (before.ok, before.warning) == (True, True)
    assert before.text.startswith("0 of 1 subscriptions")
    assert kept.altinn.count("subscribe", "unsubscribe") == 0
    with kept.subscriber() as subscriber:
        subscriber.look()
    kept.altinn.events.all()[0].validated = True
    assert (found().text, found().warning) == ("1 of 1 subscriptions are in use", False)


def test_a_mailbox_without_a_bell_subscribes_to_nothing(
    tmp_path: Path, altinn: FakeAltinn, client: ReadyClient
) -> None:
    """An event would wake nothing there; check says so."""
    door = Door(address=PUBLIC, endpoint=PUBLIC + SECRET)
    with open_app(load(write(tmp_path, altinn, client, bell="off"))) as app:
        assert Subscriber(app.mailboxes, door, ServiceProblems()).look()
        (finding,) = check_events(app.mailboxes[0], door)
    assert "no bell" in finding.text
    assert altinn.count("subscribe", "subscriptions") == 0


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ('public_url = "http://x.no"\nsecret_file = "good"', "not a valid public address"),
        ('public_url = "https://x.no/?a=1"\nsecret_file = "good"', "not a valid public address"),
        ('public_url = "https://x.no"\nsecret_file = "short"', "does not hold 32 or more"),
        ('public_url = "https://x.no"\nsecret_file = "slash"', "does not hold 32 or more"),
    ],
)
def test_mistakes_in_the_section(
    tmp_path: Path, altinn: FakeAltinn, client: ReadyClient, section: str, problem: str
) -> None:
    """An address that Altinn would refuse, and a secret that could be guessed or would not be one
    piece of a path, are refused; the secret is in no message."""
    file = write(tmp_path, altinn, client)
    for name, secret in (("good", SECRET), ("short", "kort"), ("slash", "a/b" * 20)):
        (tmp_path / name).write_text(secret)
        (tmp_path / name).chmod(0o600)
    file.write_text(file.read_text() + f"\n[events]\n{section}\n")
    with pytest.raises(ConfigurationError, match=problem) as caught:
        load(file)
    assert "a/b" not in str(caught.value)


def test_refusals_never_repeat_the_answer() -> None:
    """Altinn's 400 repeats the address with the secret in it; what is said has neither."""

    class Refusing:
        def get(self, *_: Any) -> Any:
            return _Answer(200, value={"subscriptions": []})

        def post_json(self, *_: Any) -> Any:
            return _Answer(400, body=SECRET.encode())

    class _Answer:
        def __init__(self, status: int, value: Any = None, body: bytes = b"") -> None:
            self.status, self.value, self.body = status, value, body

    channel: Any = type("C", (), {"party": PARTY, "resource": POST})
    subscriptions = Subscriptions(Refusing(), str)  # type: ignore[arg-type]
    with pytest.raises(Exception, match="did not accept") as caught:
        subscriptions.renew([channel], Door(address=PUBLIC, endpoint=PUBLIC + SECRET))
    assert SECRET not in str(caught.value)
    assert not isinstance(caught.value, AccessRefused)
    assert push.ENDPOINT_NAME == "[events]"
