"""What passes: a connection that is cut, a statement that is cancelled, a table that is locked."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from datetime import timedelta

import psycopg
import pytest

from daemon.core.errors import PostmottakError, StoreUnreachable
from daemon.core.model import Outcome
from daemon.store import Store
from daemon.store.postgresql_engine import _LOCK
from tests.unit.claiming import ENDS, delivery_of
from tests.unit.conftest import NOW, stored_letter
from tests.unit.nodes_together import Nodes, new_nodes  # noqa: F401  # a fixture
from tests.unit.test_postgresql import by_hand

_CUT = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
    "AND application_name = 'postmottak' AND datname = current_database() AND wait_event_type = "
    "'Lock'"
)


def cut_while_it_waits(store: Store, nodes: Nodes) -> list[BaseException]:
    """Record the end of an attempt, and cut its connection while it waits for its turn to write."""
    store.letters.add([stored_letter("a")])
    (claim,) = store.outbox.claim("me", NOW, timedelta(hours=1), 1)
    failed: list[BaseException] = []

    def record() -> None:
        try:
            assert ENDS["delivered"](store.outbox, claim) == {claim.id}
        except (PostmottakError, AssertionError) as error:
            failed.append(error)

    with psycopg.connect(nodes.url.replace("+psycopg", ""), autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        thread = threading.Thread(target=record)
        thread.start()
        ends = time.monotonic() + 10
        while not other.execute(_CUT.encode()).fetchall() and time.monotonic() < ends:
            time.sleep(0.02)
        other.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))
    thread.join(20)
    return failed


def test_a_result_survives_a_cut_connection(nodes: Nodes) -> None:
    """Where the database is waited for, a result is recorded after the cut, once."""
    with closing(Store(nodes.url)) as store:
        store.wait_until(threading.Event())
        assert cut_while_it_waits(store, nodes) == []
        (attempt,) = store.queries.attempts(delivery_of("a"))
        assert attempt.outcome is Outcome.DELIVERED


def test_a_command_says_that_it_was_cut(nodes: Nodes) -> None:
    """A command, which waits for nobody, fails, and says what the server said."""
    with closing(Store(nodes.url)) as store:
        (failed,) = cut_while_it_waits(store, nodes)
        with pytest.raises(StoreUnreachable, match="cannot be used now"):
            raise failed


@pytest.mark.parametrize(
    "held",
    [f"SELECT pg_advisory_xact_lock({_LOCK})", "LOCK TABLE journal IN EXCLUSIVE MODE"],
    ids=["at its beginning", "at its commit"],
)
def test_a_transaction_that_was_cancelled(nodes: Nodes, held: str) -> None:
    """An administrator cancels what a process waits for: that passes, like a lost connection. The
    transaction is undone, and the next one begins."""
    waiting = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"

    def cancel() -> None:
        while not by_hand(nodes.url, f"{waiting} AND datname = current_database()"):
            time.sleep(0.02)

    with closing(Store(nodes.url)) as store:
        with psycopg.connect(nodes.url.replace("+psycopg", "")) as other:
            other.execute(held.encode())
            thread = threading.Thread(target=cancel)
            thread.start()
            with pytest.raises(StoreUnreachable, match="canceling statement"):
                store.letters.add([stored_letter("new")])
            thread.join()
        store.letters.add([stored_letter("new")])
        assert store.journal.verify().faults == []


def test_a_locked_table(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program keeps a table to itself for longer than is waited for: that passes."""
    monkeypatch.setattr("daemon.store.postgresql_engine._LONGEST_LOCK", "200ms")
    with (
        closing(Store(nodes.url)) as store,
        psycopg.connect(nodes.url.replace("+psycopg", "")) as other,
    ):
        other.execute("LOCK TABLE messages IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(StoreUnreachable, match="another program keeps a lock"):
            store.letters.add([stored_letter("new")])
        with pytest.raises(StoreUnreachable, match="another program keeps a lock"):
            store.queries.message(str(stored_letter("new").message.id))
