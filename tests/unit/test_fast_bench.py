"""The bench with a fast other side: its answers are the sandbox's, and it checks every result."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from hashlib import md5, sha256
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from benchmarks import __main__ as bench
from benchmarks import dovecot, processes, report
from benchmarks.fast import by_turns, fast
from benchmarks.fast_runs import (
    NotTheSame,
    PollAgain,
    Run,
    bare_run,
    fetcher_run,
    poll_again,
    service_run,
)
from benchmarks.fast_table import SERVICE, figures
from benchmarks.loopback import free_port, open_to_all
from benchmarks.mail_fetchers import FDM, GETMAIL, MBSYNC, Fetcher
from benchmarks.report import Figure
from benchmarks.static_altinn import StaticAltinn, nginx, static_altinn
from benchmarks.static_answers import Answers, write_answers
from connectors.sandbox.altinn3.correspondence_api import BASE
from connectors.sandbox.samples import sandbox_resources
from connectors.sandbox.setup import Scene

_CONTENTS = [bytes([number]) * 500 for number in range(12)]
_WANTED = Counter(sha256(each).hexdigest() for each in _CONTENTS)
_needs_nginx = pytest.mark.skipif(not nginx(), reason="nginx is not installed")


@pytest.fixture
def box() -> Iterator[Path]:
    """A folder that servers may read which run as another user."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def _answers(folder: Path) -> Answers:
    scene = Scene(folder=folder / "scene")
    return write_answers(folder / "answers", scene, _CONTENTS)


def test_answers_fit_together(tmp_path: Path) -> None:
    """Each letter is in one list, and its overview announces the attachment that is there."""
    answers = _answers(tmp_path)
    keys = [
        key
        for name in answers.lists.values()
        for key in json.loads((answers.folder / name).read_text(encoding="utf-8"))["ids"]
    ]
    assert len(set(keys)) == len(keys) == len(_CONTENTS)
    found = Counter[str]()
    for key in keys:
        overview = json.loads((answers.folder / "overview" / key).read_text(encoding="utf-8"))
        (part,) = overview["content"]["attachments"]
        content = (answers.folder / "download" / key / part["id"]).read_bytes()
        assert part["checksum"] == md5(content).hexdigest()
        found[sha256(content).hexdigest()] += 1
    assert found == _WANTED


def _get(altinn: StaticAltinn, path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    text = (altinn.scene / "postmottak.toml").read_text(encoding="utf-8")
    url = text.partition('platform_url = "')[2].partition('"')[0]
    with closing(http.client.HTTPConnection(urlsplit(url).netloc)) as connection:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()


def test_no_two_servers_get_one_port() -> None:
    """A port is free, is given once, and is none that the system gives to whoever wants any."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    ports = [free_port() for _ in range(500)]
    assert len(set(ports)) == 500
    assert max(ports) < lowest


@_needs_nginx
def test_nginx_answers_as_the_sandbox(box: Path) -> None:
    """Tokens are posted for, lists differ by resource, and heads are the sandbox's."""
    with static_altinn(box, _CONTENTS) as altinn:
        status, headers, body = _get(altinn, "/token", "POST")
        assert (status, headers["Content-Type"]) == (200, "application/json")
        assert json.loads(body)["token_type"] == "Bearer"
        keys = []
        for resource in sandbox_resources().values():
            query = urlencode({"resourceId": resource, "role": "Recipient", "from": "2026-10-30"})
            keys.append(json.loads(_get(altinn, f"{BASE}?{query}")[2])["ids"])
        assert sorted(map(len, keys)) == [0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2]
        assert _get(altinn, f"{BASE}?resourceId=other&role=Recipient")[0] == 404
        key = keys[0][0]
        overview = json.loads(_get(altinn, f"{BASE}/{key}")[2])
        (part,) = overview["content"]["attachments"]
        status, headers, _ = _get(altinn, f"{BASE}/{key}/attachment/{part['id']}/download")
        assert headers["Content-Disposition"] == "inline; filename*=UTF-8''Vedtak.pdf"
        assert headers["Cache-Control"] == "no-store"
        assert "Last-Modified" not in headers


@_needs_nginx
def test_runs_are_verified(box: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service and a bare client fetch what is served; a result that differs is refused."""
    with static_altinn(box / "altinn", _CONTENTS) as altinn:
        run = service_run(altinn, _WANTED, box / "service")
        assert 0 < run.seconds < run.whole_seconds
        assert 0 <= run.processor < run.whole_processor
        assert run.memory > 0
        monkeypatch.setattr("benchmarks.fast_runs._POLLS", 1)
        again = poll_again(altinn, box / "service")
        assert 0 < again.seconds < 2
        bare = bare_run(altinn, "http.client", _WANTED, box / "bare")
        assert bare.seconds < bare.whole_seconds
        with pytest.raises(NotTheSame, match="12 letters that were served, and should have 13"):
            bare_run(altinn, "http.client", _WANTED + Counter(list(_WANTED)[:1]), box / "two")


@pytest.mark.skipif(not dovecot.installed(), reason="Dovecot is not installed, or we are not root")
@pytest.mark.parametrize("fetcher", [MBSYNC, FDM], ids=lambda each: each.program)
def test_mail_fetchers_are_verified(box: Path, fetcher: Fetcher) -> None:
    """Each mail fetcher gets the same contents; one more that was to come is missed.

    Not getmail6, which may miss the end of a child of its own while the machine is busy.
    """
    if not fetcher.installed:
        pytest.skip(f"{fetcher.program} is not installed")
    with dovecot.dovecot(box / "mail", _CONTENTS) as server:
        run = fetcher_run(fetcher, server, _WANTED, box / "fetched")
        assert run.processor > 0
        with pytest.raises(NotTheSame):
            fetcher_run(fetcher, server, _WANTED + Counter(["other"]), box / "other")


def test_opening_a_folder_takes_nothing_from_it(box: Path) -> None:
    """A folder is opened with those above it, and a sticky one that all may write to stays so."""
    (box / "inner").mkdir(mode=0o700)
    box.chmod(0o1777)
    open_to_all(box / "inner")
    assert (box.stat().st_mode & 0o7777, (box / "inner").stat().st_mode & 0o7777) == (
        0o1777,
        0o755,
    )


def test_processes_are_counted_with_their_descendants() -> None:
    """What a child of a child uses counts, also after it has ended, and its memory while it is."""
    burn = "sum(range(3_000_000))"
    start = f"subprocess.run([sys.executable, '-c', '{burn}'])"
    code = (
        "import subprocess, sys, threading\n"
        f"thread = threading.Thread(target=lambda: {start})\n"
        "thread.start(); thread.join()\n"
        "child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)\n"
        "print('ready', flush=True); input(); child.stdin.close(); child.wait()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdout.readline()
        own, child = processes.family(process.pid)
        assert processes.cpu_seconds(own) > processes.cpu_seconds(child)
        assert processes.memory(own) > processes.memory(child) > 0
        process.stdin.close()
    assert processes.cpu_seconds(process.pid) == processes.memory(process.pid) == 0


def _run(seconds: float, others: float = 0.0) -> Run:
    return Run(
        seconds=seconds,
        processor=seconds / 2,
        whole_seconds=seconds + 1,
        whole_processor=seconds,
        server=0.1,
        memory=5.0,
        others=others,
    )


def test_figures_say_what_holds() -> None:
    """Medians are compared with what is wanted; the quietest round and the start stand beside."""
    runs = {
        SERVICE: [_run(2.0), _run(4.0, others=1.0), _run(1.0, others=0.5)],
        MBSYNC.name: [_run(1.7, others=0.2), _run(1.0, others=0.3), _run(1.8, others=0.4)],
    }
    table = {
        each.what: each
        for each in figures(runs, 1000, 5_000, PollAgain(seconds=0.1, processor=0.2))
    }
    compared = table[f"1,000 letters of 5 kB: {SERVICE} beside {MBSYNC.name}, letters a second"]
    assert (compared.measured, compared.held) == ("500", True)
    assert compared.ratio == pytest.approx(1.7 / 2)
    assert "of the quietest rounds the ratio is 0.85" in compared.beside
    assert "with 333, 0.57" in compared.beside
    used = table[f"1,000 letters of 5 kB: {SERVICE}, ms of processor time a letter"]
    assert (used.measured, used.held) == ("1.00", True)


def test_failure_of_another_program_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A mail fetcher that fails is named, and its other rounds count; the service's own end it."""
    monkeypatch.setenv("BENCH_ROUNDS", "2")
    outcomes: list[Run | Exception] = [NotTheSame("one less"), _run(1.0)]

    def flaky(_: Path) -> Run:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    assert by_turns({GETMAIL.name: flaky}, tmp_path) == {GETMAIL.name: [_run(1.0)]}
    assert f"{GETMAIL.name} failed in round 1: one less" in capfd.readouterr().err
    outcomes[:] = [NotTheSame("one less")]
    with pytest.raises(NotTheSame):
        by_turns({SERVICE: flaky}, tmp_path)
    (figure,) = figures({GETMAIL.name: []}, 1000, 5_000, None)
    assert figure.measured == "failed in every round"


def test_quick_look_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shortened run of all parts leaves the documents as they are."""
    written: list[object] = []
    monkeypatch.setattr(bench, "_PARTS", {"fast": lambda _: [Figure(what="one", measured="1")]})
    monkeypatch.setattr(report, "write", written.append)
    monkeypatch.setattr(sys, "argv", ["bench"])
    monkeypatch.setenv("BENCH_ROUNDS", "1")
    bench.main()
    assert not written
    monkeypatch.delenv("BENCH_ROUNDS")
    bench.main()
    assert len(written) == 1


@pytest.mark.parametrize("text", ["0", "-1", "many", "9991"])
def test_wrong_number_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """A number that cannot be is refused with its name, before anything is measured."""
    monkeypatch.setattr("benchmarks.fast.nginx", lambda: "/usr/sbin/nginx")
    monkeypatch.setenv("BENCH_LETTERS", text)
    with pytest.raises(SystemExit, match=f"BENCH_LETTERS must be .*{text}"):
        list(fast(tmp_path))


def test_missing_nginx_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without nginx nothing is measured, and the table says so."""
    monkeypatch.setattr("benchmarks.fast.nginx", lambda: None)
    (figure,) = fast(tmp_path)
    assert "nginx is not installed" in figure.measured
