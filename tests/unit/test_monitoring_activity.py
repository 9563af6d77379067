"""What the service has done since its start: counted from 0, timed, and at a cost and a number of
series that do not grow with the organisations."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import event

from daemon.config.loader import DestinationConfiguration
from daemon.core.bookkeeping import Bookmark
from daemon.core.errors import AccessRefused, MailboxUnavailable, TemporaryFailure
from daemon.core.model import Outcome, SightingState
from daemon.core.settings import DestinationSettings
from daemon.intake.new_letter import MarkPolicies
from daemon.runtime import process_usage
from daemon.runtime.metrics import Histogram
from daemon.runtime.process_usage import usage_of_this_process
from daemon.store import Store, queries, totals
from daemon.store.content_folder import ContentFolder
from daemon.web.metrics import Monitoring
from tests.unit.conftest import NOW, SECRET, TAX, Clock, new_intake, stored_letter
from tests.unit.desk import Desk, new_desk  # noqa: F401  # a fixture
from tests.unit.memory import MemoryMailbox
from tests.unit.test_monitoring import configuration

OTHER = replace(TAX, service="4255/1", resource="plan")
ALTINN, ERP = 'mailbox="altinn"', 'destination="erp"'


def endpoint(store: Store, clock: Clock, folder: Path) -> Monitoring:
    """The endpoint of a service with the mailbox altinn and the destination erp, just started."""
    erp = DestinationConfiguration(name="erp", type="filedrop", settings=DestinationSettings())
    configured = replace(configuration(folder), destinations=(erp,))
    return Monitoring(
        store=store,
        configuration=lambda: configured,
        attempts=dict,
        token_ends=dict,
        faults=tuple,
        clock=clock,
    )


def samples(endpoint: Monitoring) -> dict[str, float]:
    """Every sample as Prometheus' own parser reads it, by name and labels as text."""
    read = [each for one in text_string_to_metric_families(endpoint.text()) for each in one.samples]
    return {f"{each.name}{{{_text(each.labels)}}}": each.value for each in read}


def _text(labels: Mapping[str, str]) -> str:
    return ",".join(f'{key}="{value}"' for key, value in labels.items())


def test_everything_begins_at_zero(store: Store, clock: Clock, tmp_path: Path) -> None:
    """A counter that appears with its first event hides it from `increase()`: each is there from
    the start, for each mailbox, destination and outcome."""
    found = samples(endpoint(store, clock, tmp_path))
    expected = [
        *(f'delivery_attempts_total{{{ERP},outcome="{end}"}}' for end in ("delivered", "deferred")),
        f'delivery_attempts_total{{{ERP},outcome="dead"}}',
        f"letters_stored_total{{{ALTINN}}}",
        f"listing_failures_total{{{ALTINN}}}",
        f"confidential_letters_waiting{{{ALTINN}}}",
        *(
            f"{name}_seconds_{part}"
            for name in (
                "delivery_attempt_duration",
                "fetched_to_delivered",
                "published_to_delivered",
            )
            for part in (f"count{{{ERP}}}", f"sum{{{ERP}}}", f'bucket{{{ERP},le="+Inf"}}')
        ),
    ]
    assert {name: found.get(f"postmottak_{name}") for name in expected} == dict.fromkeys(
        expected, 0.0
    )


def test_what_polls_did_is_counted(
    store: Store, content: ContentFolder, clock: Clock, stopping: threading.Event, tmp_path: Path
) -> None:
    """Letters that are stored, channels that could not be listed, and confidential letters that are
    left alone are counted by mailbox; a presumed channel that is refused is no failure."""
    listed, presumed = (
        replace(SECRET, list_only=True),
        replace(TAX, resource="guess", presumed=True),
    )
    mailbox = MemoryMailbox(boxes=[TAX, OTHER, presumed, listed])
    mailbox.fails["list", OTHER.resource] = iter([MailboxUnavailable("away")] * 2)
    mailbox.fails["list", presumed.resource] = iter([AccessRefused("no right")] * 2)
    for name in ("a", "b"):
        mailbox.publish(name, b"pdf")
    mailbox.publish("c", channel=listed, confidential=True)
    intake = new_intake(store, content, clock)
    for _ in range(2):
        intake.poll(mailbox, MarkPolicies(), stopping)
    found = samples(replace(endpoint(store, clock, tmp_path), intake=intake.counters))
    assert found[f"postmottak_letters_stored_total{{{ALTINN}}}"] == 2
    assert found[f"postmottak_listing_failures_total{{{ALTINN}}}"] == 2
    assert found[f"postmottak_confidential_letters_waiting{{{ALTINN}}}"] == 1


def test_how_long_letters_take(desk: Desk, tmp_path: Path) -> None:
    """The time from the fetching and from the publishing of a letter to its delivery is observed
    once, whatever the attempts before; what is sent again is not."""
    published = NOW - timedelta(minutes=4)
    desk.store.letters.add([stored_letter("a", ("erp",), published_at=published)])
    desk.erp.fails = iter([TemporaryFailure("later")])

    def take_a_while(_: object) -> None:
        desk.clock.advance(seconds=7)

    desk.erp.during = take_a_while
    assert desk.deliver() == {Outcome.DEFERRED: 1}
    desk.clock.advance(hours=2)
    assert desk.deliver() == {Outcome.DELIVERED: 1}
    desk.clock.advance(days=30)
    desk.store.outbox.resend([desk.now_is().id], desk.clock())
    assert desk.deliver() == {Outcome.DELIVERED: 1}
    found = samples(
        replace(endpoint(desk.store, desk.clock, tmp_path), timings=desk.dispatch.timings)
    )
    stored = "postmottak_fetched_to_delivered_seconds"
    assert found[f"{stored}_sum{{{ERP}}}"] == 2 * 3600 + 14
    assert found[f'{stored}_bucket{{{ERP},le="3600.0"}}'] == 0
    assert found[f'{stored}_bucket{{{ERP},le="14400.0"}}'] == 1
    assert found[f"postmottak_published_to_delivered_seconds_sum{{{ERP}}}"] == 2 * 3600 + 14 + 240
    attempts = "postmottak_delivery_attempt_duration_seconds"
    assert found[f"{attempts}_count{{{ERP}}}"] == 3
    assert found[f"{attempts}_sum{{{ERP}}}"] == 21
    assert found[f'{attempts}_bucket{{{ERP},le="5.0"}}'] == 0
    assert found[f'{attempts}_bucket{{{ERP},le="10.0"}}'] == 3


def test_a_mailbox_that_was_removed(store: Store, clock: Clock, tmp_path: Path) -> None:
    """What the configuration no longer names is not reported, so that no alert says for ever that
    it is silent."""
    for name in ("altinn", "old"):
        store.bookmarks.save(
            [
                Bookmark(
                    mailbox=name, party="9", service="4255/8", resource="skatt", succeeded_at=NOW
                )
            ]
        )
    found = samples(endpoint(store, clock, tmp_path))
    assert f"postmottak_mailbox_last_success_timestamp_seconds{{{ALTINN}}}" in found
    assert [name for name in found if 'mailbox="old"' in name] == []


def test_a_clock_that_was_set_back() -> None:
    """A negative duration counts as none: a histogram's sum must not fall."""
    histogram = Histogram((1.0, 2.0))
    for value in (-5.0, 2.0, 3.0):
        histogram.observe("erp", value)
    assert histogram.values()["erp"].cumulative == (1, 2, 3)
    assert histogram.values()["erp"].total == 5.0


def test_what_the_process_uses_is_true() -> None:
    """The numbers are those that the system reports elsewhere."""
    usage, times = usage_of_this_process(), os.times()
    assert usage
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    assert usage.cpu_seconds == pytest.approx(times.user + times.system, abs=0.5)
    assert usage.resident_bytes == pytest.approx(int(status["VmRSS"].split()[0]) * 1024, rel=0.1)
    assert usage.virtual_bytes == pytest.approx(int(status["VmSize"].split()[0]) * 1024, rel=0.1)
    assert usage.open_files >= 3
    own = Path(f"/proc/{os.getpid()}").stat().st_mtime
    assert usage.started_at == pytest.approx(own, abs=5)
    assert usage_of_this_process().started_at == usage.started_at  # type: ignore[union-attr]


def test_a_system_that_hides_processes(
    store: Store, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system reports nothing of the process, the rest is reported all the same."""
    monkeypatch.setattr(process_usage, "_STAT", tmp_path / "nothing")
    found = samples(endpoint(store, clock, tmp_path))
    assert found[f"postmottak_letters_stored_total{{{ALTINN}}}"] == 0
    assert [name for name in found if "process_" in name] == []


def _organisations(database: Path, count: int) -> None:
    """Channels of so many organisations, one of which fails, and a letter of each that waits."""
    with closing(sqlite3.connect(database)) as raw, raw:
        raw.executemany(
            "INSERT INTO bookmarks (mailbox, party, service, resource, refused, begun, "
            "succeeded_at, failing_since) VALUES ('altinn', ?, ?, 'r', 0, 1, ?, ?)",
            [
                (
                    f"{910_000_000 + number}",
                    service,
                    f"2026-11-24 0{number % 9}:00:00.000000",
                    "2026-11-24 08:00:00.000000" if number == 7 else None,
                )
                for number in range(count)
                for service in ("4255/1", "4255/2")
            ],
        )
        raw.executemany(
            "INSERT INTO sightings (message_id, mailbox, party, service, resource, external_id, "
            "state, first_seen_at, last_seen_at, attempts) VALUES (?, 'altinn', '9', '5504/1', "
            "'r', ?, 'waiting', '2026-11-24 09:00:00.000000', '2026-11-24 09:00:00.000000', 0)",
            [(f"{number:032x}", f"e{number}") for number in range(count)],
        )


def test_a_thousand_organisations(
    store: Store, database: Path, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They cost no more series than one, and no transaction reads all of their rows."""
    door = endpoint(store, clock, tmp_path)
    _organisations(database, 1)
    few = samples(door)
    with closing(sqlite3.connect(database)) as raw, raw:
        raw.execute("DELETE FROM bookmarks")
        raw.execute("DELETE FROM sightings")
    _organisations(database, 1000)
    for module in (queries, totals):
        for name in ("LETTERS", "ROWS", "COUNTED"):
            monkeypatch.setattr(module, name, 100, raising=False)
    begun: list[object] = []
    event.listen(store.queries._database._engine.reader, "begin", begun.append)
    for read in (
        store.totals.channels,
        lambda: store.totals.skipped(SightingState.WAITING),
        store.queries.bookmarks,
    ):
        begun.clear()
        read()
        assert len(begun) >= 10
    many = samples(door)
    assert (
        many.keys() - few.keys()
        == {name for name in many if name.startswith("postmottak_alerts{")} - few.keys()
    )
    assert many[f"postmottak_confidential_letters_waiting{{{ALTINN}}}"] == 1000
    assert many[f"postmottak_channels_failing{{{ALTINN}}}"] == 2
    assert many[f"postmottak_channel_failing_longest_seconds{{{ALTINN}}}"] == 3600
    newest = many[f"postmottak_mailbox_last_success_timestamp_seconds{{{ALTINN}}}"]
    assert newest == (NOW - timedelta(hours=1)).timestamp()
