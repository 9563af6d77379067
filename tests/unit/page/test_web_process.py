"""The page as a process of its own: how it stops, and what happens to it from outside."""

from __future__ import annotations

import re
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from benchmarks.loopback import free_port
from daemon.page.guard.signed_in import COOKIE
from daemon.runtime.clock import utc_now
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from daemon.store.users import Actor, RoleGrant
from tests.browser.letters import CONFIGURATION, ROUTING, fill

STOP_WITHIN = 8


@dataclass
class Served:
    """The running page, and a user's browser."""

    folder: Path
    port: int
    process: subprocess.Popen[str]
    browser: httpx.Client

    def total(self) -> int:
        """How many letters the list has; 0 while there is no list."""
        found = re.search(r'"total" data-count="(\d+)"', self.browser.get("/letters").text)
        return int(found.group(1)) if found else 0


def _store(folder: Path, name: str, letters: int) -> str:
    """Make a store with these letters and a user; return the cookie of their session."""
    with closing(Store(f"sqlite:///{folder / name}")) as store:
        fill(store, ContentFolder(folder / "content"), utc_now(), letters)
        grants = [RoleGrant(role="reader")]
        store.users.add("kari", utc_now(), Actor(name="test"), grants=grants)
        return f"{COOKIE}={store.sessions.begin('kari', '127.0.0.1', utc_now())}"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """The page of a store with five letters, as its command serves it."""
    port = free_port()
    (tmp_path / "drop").mkdir()
    (tmp_path / "postmottak.toml").write_text(CONFIGURATION.format(port=port), encoding="utf-8")
    (tmp_path / "routing.toml").write_text(ROUTING, encoding="utf-8")
    cookie = _store(tmp_path, "postmottak.db", 5)
    postmottak = str(Path(sys.executable).with_name("postmottak"))
    command = [postmottak, "-c", "postmottak.toml", "web", "run"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        home = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=home, headers={"Cookie": cookie}, timeout=30) as browser:
            found = Served(tmp_path, port, process, browser)
            try:
                _until_it_answers(found)
                yield found
            finally:
                process.kill()


def _until_it_answers(served: Served) -> None:
    ends = time.monotonic() + 30
    while True:
        try:
            served.browser.get("/login")
        except httpx.TransportError:
            assert time.monotonic() < ends
            time.sleep(0.1)
        else:
            return


def test_a_stop_waits_for_no_client(served: Served) -> None:
    """With fifty connections that ask for nothing, for half, or do not read, it ends in time."""
    beginnings = (b"", b"GET /letters HTTP/1.1\r\nHost: 127.0", b"GET /login HTTP/1.1\r\n")
    with ExitStack() as ends:
        for number in range(50):
            peer = ends.enter_context(socket.create_connection(("127.0.0.1", served.port)))
            peer.sendall(beginnings[number % len(beginnings)])
        assert served.browser.get("/letters").status_code == 200
        served.process.terminate()
        assert served.process.wait(STOP_WITHIN) == 0


def test_a_locked_database_delays_no_stop(served: Served) -> None:
    """A view that waits for a database which another program locks does not hold up the end."""
    with (
        closing(sqlite3.connect(served.folder / "postmottak.db", isolation_level=None)) as other,
        socket.create_connection(("127.0.0.1", served.port)) as peer,
    ):
        other.execute("BEGIN EXCLUSIVE")
        peer.sendall(
            f"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {COOKIE}=x\r\n\r\n".encode("ascii")
        )
        time.sleep(0.5)
        served.process.terminate()
        assert served.process.wait(STOP_WITHIN) == 0


def test_a_restored_database_is_opened_again(served: Served) -> None:
    """After `restore --replace` beneath it, the page shows nothing of the old database, and soon
    all of the new one, without a restart."""
    assert served.total() == 5
    cookie = _store(served.folder, "restored.db", 3)
    (served.folder / "restored.db").replace(served.folder / "postmottak.db")
    assert served.browser.get("/letters").status_code == 503
    served.browser.headers["Cookie"] = cookie
    ends = time.monotonic() + 40
    while True:
        try:
            if served.total():
                break
        except httpx.TransportError:
            pass
        assert time.monotonic() < ends
        time.sleep(0.2)
    assert served.total() == 3
