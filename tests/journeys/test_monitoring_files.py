"""The alert rules and the dashboard ask for what a running service really reports."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import yaml
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.loopback import free_port
from tests.journeys.conftest import Journey

FILES = Path(__file__).parents[2] / "packaging/monitoring"
_METRIC = re.compile(r"\b((?:postmottak|process)_[a-z_]+)(?:\{([^}]*)\})?")
_LABEL = re.compile(r'(\w+)(?:=~|!~|!=|=)"')
_BY = re.compile(r"\bby \(([^)]*)\)")
_SHOWN = re.compile(r"\{\{ ?(?:\$labels\.)?([a-z]+) ?\}\}")
_OF_PROMETHEUS = {"job", "instance"}
_WITHOUT_VALUES = {
    "postmottak_alerts": {"kind"},
    "postmottak_api_wrong_tokens_total": set[str](),
    "postmottak_certificate_expiry_timestamp_seconds": {"destination"},
    "postmottak_key_expiry_timestamp_seconds": {"mailbox"},
}
"""What this service has nothing to say about, with its labels: it has no problem, no API and no
such dates."""
_OF_NODES = {"postmottak_node_heartbeat_age_seconds", "postmottak_node_takeovers_total"}
"""What only one of several nodes has; test_alerts_of_nodes.py compares these with the documents."""


def test_every_metric_of_the_rules_and_the_dashboard_exists(journey: Journey) -> None:
    """Each metric that an alert or a panel names is at the endpoint of a real service, with the
    labels by which it is selected, and both processes of the service are there."""
    port = free_port()
    sections = f'[alerts]\nfree_bytes = 0\n[monitoring]\nlisten = "127.0.0.1:{port}"\n'
    # what a bell rings for is fetched by the service itself, and there are no workers then
    text = journey.scene.configuration.read_text()
    text = text.replace('type = "altinn3"', 'type = "altinn3"\nbell = "off"')
    journey.scene.configuration.write_text(text + sections)
    journey.publish(13)
    process = journey.start("run")
    try:
        assert journey.altinn.wait_for(lambda: _has_settled(journey, port), timeout=60)
        text = journey.metrics(port)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    typed = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
    labels: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels.setdefault(sample.name, set()).update(sample.labels)
    asked = list(_expressions())
    assert len({name for expression, _ in asked for name, _ in _METRIC.findall(expression)}) > 20
    for expression, words in asked:
        known = set(_OF_PROMETHEUS)
        for name, matchers in _METRIC.findall(expression):
            if name in _OF_NODES:
                continue
            assert name in labels or name in _WITHOUT_VALUES.keys() & typed, name
            known |= labels[name] if name in labels else _WITHOUT_VALUES[name]
            assert set(_LABEL.findall(matchers)) <= known, name
        grouped = {label for some in _BY.findall(expression) for label in some.split(", ")}
        assert grouped | set(_SHOWN.findall(words)) <= known, expression


def _has_settled(journey: Journey, port: int) -> bool:
    """Whether letters are delivered, a poll has ended, and the worker process has said what it
    uses."""
    text = journey.metrics(port)
    return bool(
        re.search(r"^postmottak_mailbox_last_success_timestamp_seconds", text, re.MULTILINE)
        and re.search(
            r"^postmottak_fetched_to_delivered_seconds_count\{.*\} [1-9]", text, re.MULTILINE
        )
        and re.search(r"^postmottak_worker_process_resident_memory_bytes [1-9]", text, re.MULTILINE)
    )


def _expressions() -> Iterator[tuple[str, str]]:
    """Every query, with the words that show its labels."""
    for group in yaml.safe_load((FILES / "postmottak.rules.yml").read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["expr"], " ".join(rule["annotations"].values())
    for panel in json.loads((FILES / "postmottak-dashboard.json").read_text())["panels"]:
        for query in panel.get("targets", []):
            yield query["expr"], query["legendFormat"]
