"""Sessions, log-in links, and the limit for attempts to log in."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from daemon.core.errors import NotFound
from daemon.store import Actor, Store, login_keys
from daemon.store.login_throttle import LONGEST_WAIT
from tests.unit.by_hand import by_hand, everything_in
from tests.unit.conftest import NOW

pytestmark = pytest.mark.both_databases

BY = Actor(name="root")
SECOND = timedelta(seconds=1)


@pytest.fixture(autouse=True)
def users(store: Store) -> None:
    """Two users."""
    for name in ("anna", "ola"):
        store.users.add(name, NOW, BY)


def test_a_session_ends_when_it_is_not_used(store: Store) -> None:
    """Eight hours without a click end a session, and twelve in any case."""
    token = store.sessions.begin("anna", "10.0.0.7", NOW)
    nearly = NOW + timedelta(hours=8) - SECOND
    assert store.sessions.find(token, nearly + SECOND) is None
    assert store.sessions.find(token, nearly) == "anna"
    assert [each.address for each in store.sessions.of("anna", nearly)] == ["10.0.0.7"]
    end = NOW + timedelta(hours=12)
    assert store.sessions.find(token, end - SECOND) == "anna"
    assert store.sessions.find(token, end) is None
    assert store.sessions.of("anna", end) == []


def test_a_session_is_ended_by_its_user(store: Store) -> None:
    """Ending one leaves the others; ending all leaves those of other users."""
    first, second = (store.sessions.begin("anna", "", NOW) for _ in range(2))
    other = store.sessions.begin("ola", "", NOW)
    store.sessions.end(first)
    store.sessions.end(first)
    assert [store.sessions.find(each, NOW) for each in (first, second)] == [None, "anna"]
    assert store.sessions.end_all("anna") == 1
    assert [store.sessions.find(each, NOW) for each in (second, other)] == [None, "ola"]


def test_nothing_else_is_a_session(store: Store) -> None:
    """A token that was never given out, whatever it holds, finds nobody; nor does a stored id."""
    store.sessions.begin("anna", "", NOW)
    (stored,) = store.sessions.of("anna", NOW)
    for token in ("", "x", "\ud800", "' OR 1=1 --", "0" * 10_000, stored.id):
        assert store.sessions.find(token, NOW) is None
    with pytest.raises(NotFound, match="does not exist"):
        store.sessions.begin("nobody", "", NOW)


def test_a_use_is_noted_at_most_once_a_minute(store: Store, database_url: str) -> None:
    """Clicks do not make the page write all the time, so that it keeps nobody waiting."""
    token = store.sessions.begin("anna", "", NOW)
    before = everything_in(database_url)
    assert store.sessions.find(token, NOW + 59 * SECOND) == "anna"
    assert everything_in(database_url) == before
    assert store.sessions.find(token, NOW + 60 * SECOND) == "anna"
    (used,) = store.sessions.of("anna", NOW)
    assert used.used_at == NOW + 60 * SECOND


def test_ended_sessions_do_not_pile_up(store: Store, database_url: str) -> None:
    """Rows of sessions that have ended go when the next one begins."""
    for hours in range(0, 100, 10):
        store.sessions.begin("anna", "", NOW + timedelta(hours=hours))
        store.login_links.create("ola", NOW + timedelta(hours=hours), BY)
    for table in ("sessions", "login_links"):
        assert by_hand(database_url, f"SELECT count(*) FROM {table}") == [(1,)]


def test_no_token_is_in_the_database(store: Store, database_url: str) -> None:
    """Who reads the database, or a copy of it, gets no session by that."""
    tokens = [store.sessions.begin("anna", "", NOW), store.login_links.create("anna", NOW, BY)]
    kept = everything_in(database_url)
    assert not any(token.encode() in kept for token in tokens)


def test_a_link_logs_in_once_and_for_five_minutes(store: Store) -> None:
    """A link that was used, one that is too old and one that never was lead nowhere."""
    link, late = (store.login_links.create("anna", NOW, BY) for _ in range(2))
    soon = NOW + timedelta(minutes=5) - SECOND
    assert store.login_links.take(link, soon) == "anna"
    assert store.login_links.take(link, soon) is None
    assert store.login_links.take(late, soon + SECOND) is None
    assert store.login_links.take("x", soon) is None
    with pytest.raises(NotFound, match="does not exist"):
        store.login_links.create("nobody", NOW, BY)


def test_a_link_logs_in_once_when_many_use_it_at_once(store: Store, database_url: str) -> None:
    """Of two processes that use a link at the same moment, one is let in."""
    link = store.login_links.create("anna", NOW, BY)
    second = Store(database_url)
    together, found = threading.Barrier(8), []

    def take(each: Store) -> None:
        together.wait()
        found.append(each.login_links.take(link, NOW))

    threads = [threading.Thread(target=take, args=[each]) for each in (store, second) * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    second.close()
    assert (found.count("anna"), len(found)) == (1, 8)


def test_a_sixth_attempt_in_a_minute_waits(store: Store, database_url: str) -> None:
    """Five attempts at an account go on, the sixth waits, also after a restart and with the right
    password; after the wait that was named there is one more."""
    keys = login_keys("Anna", "10.0.0.1")
    moments = [NOW + each * SECOND for each in range(5)]
    assert [store.login_throttle.wait(keys, each) for each in moments] == [None] * 5
    again = Store(database_url)
    wait = again.login_throttle.wait(keys, NOW + 5 * SECOND)
    again.close()
    assert wait
    assert 10 < wait.seconds < 30
    other = login_keys("ola", "10.0.0.1")
    assert store.login_throttle.wait(other, NOW + 5 * SECOND) is None
    now = NOW + (5 + wait.seconds) * SECOND
    assert store.login_throttle.wait(keys, now) is None
    assert store.login_throttle.wait(keys, now)


def test_the_wait_grows_with_every_attempt_and_has_an_end(store: Store) -> None:
    """Who goes on trying waits longer and longer, a quarter of an hour at most, and a pause makes
    all well."""
    keys = login_keys("anna", "10.0.0.1")
    waits = [store.login_throttle.wait(keys, NOW) for _ in range(200)][5:]
    longest = round(LONGEST_WAIT.total_seconds())
    known = [each.seconds if each else 0 for each in waits]
    assert known == sorted(known)
    assert (known[0], known[1], known[-1]) == (24, 36, longest)
    assert store.login_throttle.wait(keys, NOW + (longest - 1) * SECOND)
    assert store.login_throttle.wait(keys, NOW + 3 * LONGEST_WAIT) is None


def test_the_first_refusal_of_each_row_is_known(store: Store) -> None:
    """Of many attempts that are refused in a row, one says that it is the first; after an attempt
    that was looked at there is a first one again."""
    keys = login_keys("anna", "10.0.0.1")
    found = [store.login_throttle.wait(keys, NOW) for _ in range(9)]
    assert [each.is_first for each in found if each] == [True, False, False, False]
    last = found[-1]
    assert last
    later = NOW + last.seconds * SECOND
    found = [store.login_throttle.wait(keys, later) for _ in range(3)]
    assert [each and each.is_first for each in found] == [None, True, False]


def test_one_address_has_twenty_attempts_for_all_accounts(store: Store, database_url: str) -> None:
    """Who tries many accounts from one address is stopped, and shuts none of them out by going
    on."""
    waits = [
        store.login_throttle.wait(login_keys(f"user{each}", "10.0.0.1"), NOW) for each in range(21)
    ]
    assert [each.seconds for each in waits if each] == [6]
    for _ in range(50):
        assert store.login_throttle.wait(login_keys("anna", "10.0.0.1"), NOW)
    assert store.login_throttle.wait(login_keys("anna", "10.0.0.2"), NOW) is None
    store.login_throttle.wait(login_keys("anna", "10.0.0.2"), NOW + timedelta(hours=1))
    assert by_hand(database_url, "SELECT count(*) FROM login_attempts") == [(2,)]


def test_a_clock_that_was_set_back_locks_nobody_out(store: Store) -> None:
    """Attempts that were counted by a clock far ahead do not count until then."""
    keys = login_keys("anna", "10.0.0.1")
    for _ in range(6):
        store.login_throttle.wait(keys, NOW + timedelta(days=365))
    wait = store.login_throttle.wait(keys, NOW)
    assert wait
    assert wait.seconds < 60
    assert store.login_throttle.wait(keys, NOW + wait.seconds * SECOND) is None


def test_an_ipv6_network_counts_as_one_address() -> None:
    """Who has one address of IPv6 has 2^64 of them."""
    assert login_keys("A", "2001:db8::1") == login_keys("a", "2001:db8::ffff:1")
    assert login_keys("a", "2001:db8::1") != login_keys("a", "2001:db8:0:1::1")
    assert login_keys("a", "::ffff:10.0.0.1") == login_keys("a", "10.0.0.1")
    assert login_keys("a", "") == ("user:a", "address:")
