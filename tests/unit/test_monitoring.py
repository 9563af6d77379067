"""Numbers for monitors: in a form that Prometheus reads, and at a cost that does not grow with what
is stored."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import event

from daemon.config.loader import (
    Configuration,
    DeliverySettings,
    MailboxConfiguration,
    RoutingSettings,
)
from daemon.config.store import StoreSettings
from daemon.core.bookkeeping import Bookmark
from daemon.core.errors import Fault
from daemon.core.model import MarkKind, Outcome, PartState, Policy, SightingState
from daemon.core.settings import Day, MailboxSettings
from daemon.core.times import NORWAY
from daemon.monitoring.problems import find_problems
from daemon.store import Store
from daemon.web.metrics import Monitoring
from tests.unit.conftest import NOW, Clock, envelope, stored_letter

pytestmark = pytest.mark.both_databases

ROOT = Path(__file__).parents[2]
_LINE = re.compile(
    r"(postmottak_|process_)[a-z_]+"
    r'(\{[a-z]+="([^"\\\n]|\\.)*"(,[a-z]+="([^"\\\n]|\\.)*")*\})? [0-9.e+-]+'
)


class Expiring(MailboxSettings):
    """A mailbox with a key that ends."""

    key_expires: Day

    @property
    def key_ends(self) -> Day:
        return self.key_expires


def configuration(folder: Path) -> Configuration:
    """The smallest configuration."""
    return Configuration(
        path=folder / "postmottak.toml",
        text="",
        store=StoreSettings(database=f"sqlite:///{folder / 'postmottak.db'}", content=folder),
        mailboxes=(
            MailboxConfiguration(
                name="altinn", type="altinn3", settings=Expiring(key_expires=NOW.date())
            ),
        ),
        destinations=(),
        delivery=DeliverySettings(),
        routing=RoutingSettings(file=folder / "routing.toml"),
    )


def monitoring(store: Store, clock: Clock, folder: Path) -> Monitoring:
    """The endpoint, with one fault of an edit."""
    return Monitoring(
        store=store,
        configuration=lambda: configuration(folder),
        attempts=lambda: {("erp", Outcome.DELIVERED): 2},
        token_ends=lambda: {"altinn": NOW},
        faults=lambda: [Fault(file="x", key="y", problem="z", remedy="")],
        clock=clock,
    )


def ask(endpoint: Monitoring, *paths: str) -> list[httpx.Response]:
    """The endpoint's answers."""

    async def answers() -> list[httpx.Response]:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(endpoint.application()), base_url="http://monitor"
        ) as client:
            return [await client.get(path) for path in paths]

    return asyncio.run(answers())


def test_the_numbers(store: Store, clock: Clock, tmp_path: Path) -> None:
    """Each line is in the format, and says what the store says; no title is in it, and odd names
    are escaped."""
    store.letters.add([stored_letter("a", ('e"r\\p',), title="Oppsigelse")])
    clock.advance(seconds=90)
    [answer] = ask(monitoring(store, clock, tmp_path), "/metrics")
    lines = answer.text.splitlines()
    assert (answer.status_code, answer.headers["content-type"]) == (
        200,
        "text/plain; version=0.0.4; charset=utf-8",
    )
    assert [line for line in lines if not line.startswith("# ") and not _LINE.fullmatch(line)] == []
    assert 'postmottak_deliveries{destination="e\\"r\\\\p",state="pending"} 1.0' in lines
    assert 'postmottak_oldest_undelivered_age_seconds{destination="e\\"r\\\\p"} 90.0' in lines
    assert 'postmottak_delivery_attempts_total{destination="erp",outcome="delivered"} 2.0' in lines
    assert "postmottak_edit_faults 1.0" in lines
    [token] = [line for line in lines if line.startswith("postmottak_token_expiry_timestamp_sec")]
    assert token.startswith('postmottak_token_expiry_timestamp_seconds{mailbox="altinn"} ')
    assert float(token.rpartition(" ")[2]) == NOW.timestamp()
    [key] = [
        line
        for line in lines
        if line.startswith('postmottak_key_expiry_timestamp_seconds{mailbox="altinn"} ')
    ]
    assert datetime.fromtimestamp(float(key.partition(" ")[2]), NORWAY).date() == NOW.date()
    assert "Oppsigelse" not in answer.text


def test_what_is_not_here_is_counted(store: Store, clock: Clock, tmp_path: Path) -> None:
    """Channels, letters, parts and marks that fail have numbers, and what is wrong is what status
    says is wrong."""
    letter = stored_letter("a", (), marks={MarkKind.READ: Policy.STORED})
    letter.attachments[0].state = PartState.UNAVAILABLE
    store.letters.add([letter])
    [(mark, _)] = store.marks.due("altinn", NOW, 1)
    store.marks.deferred(mark, "no right", NOW, NOW)
    store.letters.record_skipped(envelope("b").ref, SightingState.FAILING, NOW, "away")
    place = Bookmark(
        mailbox="altinn", party="991825827", service="4255/8", resource="skatt", failing_since=NOW
    )
    store.bookmarks.save([place])
    clock.advance(hours=5)
    lines = monitoring(store, clock, tmp_path).text().splitlines()
    for name in ("channels_failing", "letters_unfetched", "marks_refused"):
        assert f'postmottak_{name}{{mailbox="altinn"}} 1.0' in lines
    assert 'postmottak_channel_failing_longest_seconds{mailbox="altinn"} 18000.0' in lines
    assert "postmottak_letters_incomplete 1.0" in lines
    wrong = {each.kind for each in find_problems(configuration(tmp_path), store, clock())}
    shown = {
        line.partition('kind="')[2].partition('"')[0]
        for line in lines
        if line.startswith("postmottak_alerts{")
    }
    assert shown == wrong | {"edit"}
    assert {"unfetched", "incomplete", "untold"} <= wrong


def test_alive_and_ready(store: Store, clock: Clock, tmp_path: Path) -> None:
    """The service is alive as long as it answers, and ready as long as its database does."""
    endpoint = monitoring(store, clock, tmp_path)
    assert [each.status_code for each in ask(endpoint, "/livez", "/readyz")] == [200, 200]
    with store.letters._database.write() as session:
        session.connection().exec_driver_sql("ALTER TABLE routing_versions RENAME TO gone")
    assert [each.status_code for each in ask(endpoint, "/livez", "/readyz", "/metrics")] == [
        200,
        503,
        503,
    ]


@pytest.mark.about_sqlite("the plan of queries")
def test_nothing_is_scanned(store: Store, clock: Clock, tmp_path: Path) -> None:
    """No question for monitors or alerts reads a table of letters or deliveries from end to end; an
    index of a few rows does not count as one."""
    statements: list[tuple[str, object]] = []
    engine = store.letters._database._engine.reader
    event.listen(
        engine,
        "before_cursor_execute",
        lambda _c, _k, statement, parameters, *_: statements.append((statement, parameters)),
    )
    monitoring(store, clock, tmp_path).text()
    find_problems(configuration(tmp_path), store, NOW)
    plans = []
    with engine.connect() as connection:
        for statement, parameters in [each for each in statements if each[0].startswith("SELECT")]:
            # as recorded
            found = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)  # type: ignore[arg-type]
            plans += [str(row[3]) for row in found]
    assert plans
    scanned = (
        r"SCAN (deliveries|messages|attempts|attachments|decisions|marks|sightings|awaited"
        r"|reminders|deadline_warnings|digests)"
        r"(?! USING INDEX attachments_not_had)"
    )
    assert [plan for plan in plans if re.search(scanned, plan)] == []


def test_a_disk_that_does_not_tell(
    store: Store, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder whose free space the system does not report is left out, and the request does not
    fail."""

    def refuse(_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("shutil.disk_usage", refuse)
    assert not [
        each
        for each in find_problems(configuration(tmp_path), store, clock())
        if each.kind == "disk"
    ]
    assert ask(monitoring(store, clock, tmp_path), "/metrics")[0].status_code == 200


METRICS = {
    "deliveries": "gauge",
    "oldest_undelivered_age_seconds": "gauge",
    "delivery_attempts_total": "counter",
    "mailbox_last_success_timestamp_seconds": "gauge",
    "channels_failing": "gauge",
    "channel_failing_longest_seconds": "gauge",
    "letters_unfetched": "gauge",
    "marks_refused": "gauge",
    "letters_incomplete": "gauge",
    "letters_unacknowledged": "gauge",
    "letters_overdue": "gauge",
    "edit_faults": "gauge",
    "routing_in_force_timestamp_seconds": "gauge",
    "certificate_expiry_timestamp_seconds": "gauge",
    "key_expiry_timestamp_seconds": "gauge",
    "token_expiry_timestamp_seconds": "gauge",
    "free_bytes": "gauge",
    "alerts": "gauge",
    "health": "gauge",
    "api_wrong_tokens_total": "counter",
    "build_info": "gauge",
    "letters_stored_total": "counter",
    "listing_failures_total": "counter",
    "confidential_letters_waiting": "gauge",
    "altinn_calls_total": "counter",
    "altinn_call_waits_seconds_total": "counter",
    "altinn_calls_refused_total": "counter",
    "altinn_calls_per_second": "gauge",
    "bell_letters_found_total": "counter",
    "bell_parties": "gauge",
    "bell_last_answer_timestamp_seconds": "gauge",
    "completeness_letters": "gauge",
    "completeness_channels": "gauge",
    "completeness_organisations_never_asked": "gauge",
    "completeness_checked_timestamp_seconds": "gauge",
    "letter_step_seconds": "histogram",
    "delivery_attempt_duration_seconds": "histogram",
    "fetched_to_delivered_seconds": "histogram",
    "published_to_delivered_seconds": "histogram",
}
PROCESS = {
    "process_cpu_seconds_total": "counter",
    "process_resident_memory_bytes": "gauge",
    "process_virtual_memory_bytes": "gauge",
    "process_open_fds": "gauge",
    "process_max_fds": "gauge",
    "process_start_time_seconds": "gauge",
}


def test_names_and_types_are_kept(store: Store, clock: Clock, tmp_path: Path) -> None:
    """Dashboards rely on names and types, also of what has no value yet; Prometheus' own parser
    reads all of it."""
    text = monitoring(store, clock, tmp_path).text()
    types = [line.split()[2:] for line in text.splitlines() if line.startswith("# TYPE ")]
    helps = [line.split()[2] for line in text.splitlines() if line.startswith("# HELP ")]
    promised = {f"postmottak_{name}": kind for name, kind in METRICS.items()}
    promised |= PROCESS | {f"postmottak_worker_{name}": kind for name, kind in PROCESS.items()}
    assert types == [[name, kind] for name, kind in promised.items()]
    assert helps == [name for name, _ in types]
    assert "# HELP postmottak_deliveries Deliveries that wait or are dead.\n" in text
    samples = {
        sample.name for read in text_string_to_metric_families(text) for sample in read.samples
    }
    assert {"postmottak_delivery_attempts_total", "postmottak_build_info", *PROCESS} <= samples
    assert not [
        name for name in samples if re.sub("_(bucket|sum|count)$", "", name) not in promised
    ]


def test_the_document_describes_every_metric() -> None:
    """The table in operating.md has each metric with its type, and no other."""
    text = (ROOT / "docs/operating.md").read_text(encoding="utf-8")
    section = text.partition("\n### Metrics\n")[2].partition("\n## ")[0]
    assert dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", section, re.MULTILINE)) == METRICS
    assert set(re.findall(r"`(process_\w+)`", section)) == PROCESS.keys()


def test_the_library_is_loaded_only_when_numbers_are_asked_for() -> None:
    """Neither the command line nor the start of the service pays for it."""
    code = (
        "import sys, daemon.service.app, daemon.web.metrics; "
        "print('prometheus_client' in sys.modules)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ended.stdout == "False\n"
