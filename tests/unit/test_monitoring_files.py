"""The alert rules and the dashboard in packaging/monitoring: whole, and true to the documents and
to the program's own limits. That their metrics exist is shown by a journey."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from datetime import timedelta
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from daemon.config.loader import AlertSettings
from daemon.delivery.retry import LONGEST

ROOT = Path(__file__).parents[2]
FILES = ROOT / "packaging/monitoring"
TESTS = ROOT / "tests/unit/data/postmottak.rules.test.yml"
DASHBOARD: dict[str, Any] = json.loads((FILES / "postmottak-dashboard.json").read_text())
RULES: dict[str, dict[str, Any]] = {
    each["alert"]: each
    for group in yaml.safe_load((FILES / "postmottak.rules.yml").read_text())["groups"]
    for each in group["rules"]
}
PROMTOOL = shutil.which("promtool")


def test_an_alert_says_what_is_wrong_and_what_to_do() -> None:
    """Each alert has a severity, one line that says what, and a description that names a command, a
    setting or a place where it is mended."""
    assert RULES
    for name, rule in RULES.items():
        assert rule["labels"].keys() == {"severity"}, name
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}, name
        assert "\n" not in rule["annotations"]["summary"], name
        assert re.search("`|Altinn", rule["annotations"]["description"]), name


def test_the_limits_are_the_defaults() -> None:
    """An alert comes when `status` says so as well, unless somebody changes [alerts]."""
    limits = AlertSettings()
    for name, limit in {
        "PostmottakMailboxSilent": f"> {limits.silent_after.total_seconds():.0f}",
        "PostmottakUndelivered": f"> {limits.undelivered_after.total_seconds() / 3600:.0f} * 3600",
        "PostmottakDiskFull": f"< {limits.free_bytes / 1e9:.0f}e9",
        "PostmottakCertificateExpires": f"< {limits.expires_within.days} * 86400",
        "PostmottakKeyExpires": f"< {limits.expires_within.days} * 86400",
    }.items():
        assert RULES[name]["expr"].endswith(limit), name


def test_attempts_are_counted_for_longer_than_two_are_apart() -> None:
    """A destination whose only letter is tried seldom does not come and go as an alert."""
    windows = re.findall(r"\[(\d+)h\]", RULES["PostmottakDestinationFailing"]["expr"])
    assert len(windows) == 2
    assert all(timedelta(hours=int(each)) > 1.5 * LONGEST for each in windows)


def test_the_readme_names_every_alert() -> None:
    """The table lists each alert with its severity, in the order of the rules."""
    lines = (FILES / "README.md").read_text().splitlines()
    rows = [line.split("|")[1:3] for line in lines if line.startswith("| `Postmottak")]
    listed = [(name, level.strip()) for names, level in rows for name in re.findall(r"\w+", names)]
    assert listed == [(name, rule["labels"]["severity"]) for name, rule in RULES.items()]
    assert {path.name for path in FILES.iterdir()} - {"README.md"} == {
        line.split("`")[1] for line in lines if re.match(r"\| `[\w.-]+\.(yml|json)` \|", line)
    }


@pytest.mark.skipif(PROMTOOL is None, reason="promtool (Debian's package prometheus) is not here")
@pytest.mark.parametrize(
    "arguments", [("check", "rules", str(FILES / "postmottak.rules.yml")), ("test", "rules", TESTS)]
)
def test_prometheus_accepts_the_rules(arguments: tuple[str, ...]) -> None:
    """Prometheus' own tool reads the rules, and each alert fires when it should and only then."""
    ended = subprocess.run([str(PROMTOOL), *arguments], capture_output=True, text=True, check=False)
    assert (ended.returncode, "SUCCESS" in ended.stdout) == (0, True), ended.stdout + ended.stderr


@pytest.mark.skipif(PROMTOOL is None, reason="promtool (Debian's package prometheus) is not here")
def test_prometheus_accepts_the_queries_of_the_dashboard(tmp_path: Path) -> None:
    """Each query of a panel is one that Prometheus' own tool can parse."""
    queries = [query["expr"] for each in DASHBOARD["panels"] for query in each.get("targets", [])]
    filled = [each.replace("$instance", ".*").replace("$__rate_interval", "5m") for each in queries]
    rules = [{"record": f"panel:{place}", "expr": each} for place, each in enumerate(filled)]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    ended = subprocess.run(
        [str(PROMTOOL), "check", "rules", file], capture_output=True, text=True, check=False
    )
    assert f"SUCCESS: {len(rules)} rules" in ended.stdout, ended.stdout + ended.stderr


def test_every_alert_is_tested() -> None:
    """The tests for promtool expect each alert to fire at least once."""
    fired = set(re.findall(r'alertname="(\w+)"', TESTS.read_text()))
    assert fired == set(RULES)


def test_the_dashboard_can_be_imported_anywhere() -> None:
    """Nothing in it belongs to the Grafana on which it was made: the data source is a variable, and
    no panel covers another."""
    variables = {each["name"]: each["type"] for each in DASHBOARD["templating"]["list"]}
    assert (DASHBOARD["id"], variables) == (None, {"datasource": "datasource", "instance": "query"})
    used = re.findall(r'"uid": "([^"]*)"', json.dumps(DASHBOARD))
    assert set(used) == {"${datasource}", DASHBOARD["uid"]}
    panels = DASHBOARD["panels"]
    assert len({each["id"] for each in panels}) == len(panels)
    covering = [
        (one["title"], other["title"])
        for one, other in combinations(panels, 2)
        if _overlap(one["gridPos"], other["gridPos"])
    ]
    assert covering == []
    for each in panels:
        assert each["gridPos"]["x"] + each["gridPos"]["w"] <= 24
        assert all("$instance" in query["expr"] for query in each.get("targets", []))


def _overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    return all(
        one[at] < other[at] + other[size] and other[at] < one[at] + one[size]
        for at, size in (("x", "w"), ("y", "h"))
    )
