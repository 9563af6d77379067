"""The alert rules and the dashboard ask for what a running service really reports."""

from __future__ import annotations

import json
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.journeys.conftest import Journey

FILES = Path(__file__).parents[2] / "packaging/monitoring"
_METRIC = re.compile(r"\b((?:postmottak|process)_[a-z_]+)(?:\{([^}]*)\})?")
_LABEL = re.compile(r'(\w+)(?:=~|!~|!=|=)"')
_OF_PROMETHEUS = {"job", "instance"}
_WITHOUT_VALUES = {
    "postmottak_alerts",
    "postmottak_api_wrong_tokens_total",
    "postmottak_certificate_expiry_timestamp_seconds",
    "postmottak_key_expiry_timestamp_seconds",
}
"""What this service has nothing to say about: it has no problem, no API and no such dates."""


def test_every_metric_of_the_rules_and_the_dashboard_exists(journey: Journey) -> None:
    """Each metric that an alert or a panel names is at the endpoint of a real service, with the
    labels by which it is selected, and both processes of the service are there."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    sections = f'[alerts]\nfree_bytes = 0\n[monitoring]\nlisten = "127.0.0.1:{port}"\n'
    journey.scene.configuration.write_text(journey.scene.configuration.read_text() + sections)
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
    asked = [found for expression in _expressions() for found in _METRIC.findall(expression)]
    assert len({name for name, _ in asked}) > 20
    for name, matchers in asked:
        assert name in labels or name in _WITHOUT_VALUES & typed, name
        if name in labels:
            assert set(_LABEL.findall(matchers)) <= labels[name] | _OF_PROMETHEUS, name
    assert "postmottak_letters_stored_total" in labels


def _has_settled(journey: Journey, port: int) -> bool:
    """Whether letters are delivered and the worker process has said what it uses."""
    text = journey.metrics(port)
    return bool(
        re.search(r"^postmottak_stored_to_delivered_seconds_count\{.*\} [1-9]", text, re.MULTILINE)
        and re.search(r"^postmottak_worker_process_resident_memory_bytes [1-9]", text, re.MULTILINE)
    )


def _expressions() -> Iterator[str]:
    for group in yaml.safe_load((FILES / "postmottak.rules.yml").read_text())["groups"]:
        yield from (rule["expr"] for rule in group["rules"])
    for panel in json.loads((FILES / "postmottak-dashboard.json").read_text())["panels"]:
        yield from (query["expr"] for query in panel.get("targets", []))
