"""The example consumer, docs/examples/consumer.py, when letters fail: against the real API, real
folders and answers that break off."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benchmarks.loopback import free_port
from daemon.config.listen import Address
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from daemon.web.api import Api
from daemon.web.server import WebServer
from daemon.web.tokens import TokenGuard
from tests.sample_drops import EXAMPLES
from tests.unit.conftest import NOW, ROOT, stored_letter

CONSUMER = ROOT / "docs" / "examples" / "consumer.py"
TOKEN = "a token of some length"


@pytest.fixture
def consumer() -> ModuleType:
    """The consumer, for what is seen only within one process."""
    spec = importlib.util.spec_from_file_location("consumer", CONSUMER)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(*words: object) -> subprocess.CompletedProcess[str]:
    """Run the consumer once, by Python alone."""
    command = [sys.executable, "-I", "-S", str(CONSUMER), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def taken(inbox: Path) -> set[str]:
    """The deliveries that the consumer has."""
    return {each.name for each in inbox.iterdir() if not each.name.startswith(".")}


def letter_of(name: str, data: bytes) -> dict[str, Any]:
    """As much of a letter as the consumer reads, with one file."""
    body = {"name": "body.md", "sha256": None, "deleted_at": None}
    file = {"name": name, "sha256": hashlib.sha256(data).hexdigest(), "deleted_at": None}
    return {"id": "letter", "delivery": {"id": "delivery"}, "body": body, "files": [file]}


@contextmanager
def serving(store: Store, content: ContentFolder) -> Iterator[str]:
    """The API's address, while it is served."""
    port = free_port()
    api = Api(store=store, content=content, tokens=TokenGuard(TOKEN), clock=lambda: NOW)
    address = Address(host="127.0.0.1", port=port)
    server, stopping = WebServer("the API", api.application(), address), threading.Event()
    listening = threading.Event()
    server._listens = listening.set  # type: ignore[method-assign]
    thread = threading.Thread(target=server.loop, args=(stopping, lambda: None))
    thread.start()
    try:
        assert listening.wait(10)
        yield f"http://127.0.0.1:{port}/api/v1"
    finally:
        stopping.set()
        server.stop()
        thread.join(10)


def test_a_letter_that_fails_holds_up_no_other(
    store: Store, content: ContentFolder, tmp_path: Path
) -> None:
    """Of the oldest letters one cannot be fetched and one stays damaged: the first waits and is
    reported, the second is rejected, and the others are taken and acknowledged."""
    ids = []
    for minutes, name in enumerate(["missing", "damaged", "whole", "whole too"]):
        letter = stored_letter(name, due_at=NOW + timedelta(minutes=minutes))
        kept = content.put([name.encode()])
        letter.attachments[0].sha256, letter.attachments[0].size = kept.sha256, kept.size
        store.letters.add([letter])
        ids.append(letter.deliveries[0].id)
        if name == "missing":
            content.path(kept.sha256).unlink()
        if name == "damaged":
            content.path(kept.sha256).chmod(0o600)
            content.path(kept.sha256).write_bytes(b"DAMAGED")
    with store.letters._database.write() as session:
        session.connection().exec_driver_sql("UPDATE deliveries SET state = 'delivered'")
    (tmp_path / "token").write_text(TOKEN)
    inbox = tmp_path / "inbox"
    with serving(store, content) as api:
        ended = run("api", api, tmp_path / "token", "erp", inbox)
    assert ended.stderr == f"{ids[0]}: HTTP Error 500: Internal Server Error\n"
    assert ended.returncode == 1
    deliveries = [store.queries.delivery_by_id(each) for each in ids]
    assert [bool(each.taken_at) for each in deliveries] == [False, False, True, True]
    assert [each.rejection for each in deliveries] == [None, "001-a.pdf is damaged", None, None]
    assert taken(inbox) == {str(each) for each in ids[2:]}


def test_a_folder_that_fails_holds_up_no_other(tmp_path: Path) -> None:
    """In a drop, a folder that is no letter is reported, one that cannot be read as a letter is
    answered, and the letter after them is taken."""
    drop, inbox = tmp_path / "drop", tmp_path / "inbox"
    shutil.copytree(EXAMPLES / "drops" / "folder", drop)
    (drop / "0-no-letter").mkdir()
    (drop / "1-damaged").mkdir()
    (drop / "1-damaged" / "message.json").write_text("{")
    ended = run("drop", drop, inbox)
    assert (ended.returncode, len(ended.stderr.splitlines())) == (1, 1)
    assert ended.stderr.startswith("0-no-letter: ")
    assert (drop / "1-damaged.err").read_text().startswith("permanent\n")
    assert len(taken(inbox)) == 1
    assert {each.name for each in drop.iterdir() if each.is_dir()} >= {"0-no-letter", "1-damaged"}


def test_a_letter_is_durable_before_it_counts(
    consumer: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every file, the letter's folder, and the inbox are on the disk when `keep` returns, in this
    order; a repeat waits for the inbox again."""
    synced: list[Path] = []
    monkeypatch.setattr(
        os, "fsync", lambda file: synced.append(Path(f"/proc/self/fd/{file}").readlink())
    )
    inbox, letter = tmp_path / "inbox", letter_of("a.pdf", b"%PDF")
    consumer.keep(inbox, letter, lambda _: b"%PDF")
    half = inbox / ".delivery"
    folders = [inbox, tmp_path]
    assert synced == [half / "a.pdf", half / "message.json", half, *folders]
    synced.clear()
    consumer.keep(inbox, letter, lambda _: b"")
    assert synced == folders


def test_a_failed_sync_is_no_letter(
    consumer: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A drop's folder stays until its letter is durable."""
    drop, inbox = tmp_path / "drop", tmp_path / "inbox"
    shutil.copytree(EXAMPLES / "drops" / "folder", drop)
    (folder,) = drop.iterdir()

    def fails(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fails)
        assert consumer.take_from_drop(drop, inbox) == 1
    assert (folder / "message.json").exists()
    assert consumer.take_from_drop(drop, inbox) == 0
    assert not folder.exists()


def test_one_damaged_answer_is_no_reason(consumer: ModuleType, tmp_path: Path) -> None:
    """A file that comes damaged once is read again; only then is the letter damaged."""
    letter, answers = letter_of("a.pdf", b"%PDF"), [b"%P", b"%PDF"]
    consumer.keep(tmp_path / "inbox", letter, lambda _: answers.pop(0))
    assert (tmp_path / "inbox" / "delivery" / "a.pdf").read_bytes() == b"%PDF"
    answers[:] = [b"%P", b"%P"]
    with pytest.raises(ValueError, match=r"a\.pdf is damaged"):
        consumer.keep(tmp_path / "other", letter, lambda _: answers.pop(0))


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", b"SSH-2.0\r\n\r\n", b""],
    ids=["breaks off", "no HTTP", "nothing"],
)
def test_an_answer_that_breaks_off_is_tried_later(
    consumer: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], answer: bytes
) -> None:
    """Whatever is wrong with an answer, a posted letter is not taken, its sender hears that it
    should come again, and the receiver goes on."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        link = f"http://127.0.0.1:{server.getsockname()[1]}/"
        letter = letter_of("a.pdf", b"%PDF")
        data = {**letter, "links": {"attachments": {"a.pdf": link}, "body": link}}
        event = json.loads(json.dumps({"type": "no.postmottak.letter.v1", "data": data}))
        assert consumer.take_event(event, TOKEN, tmp_path / "inbox") == 503
        thread.join(10)
    assert capsys.readouterr().err.startswith("delivery: ")
    assert taken(tmp_path / "inbox") == set()
