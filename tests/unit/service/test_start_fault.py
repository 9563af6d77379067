"""A service that cannot start, because its configuration has a fault, is named by `status`."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.runtime.start_fault import clear_start_fault, note_start_fault, start_fault
from tests.unit.page.conftest import CONFIGURATION, ROUTING

_HOOK = """
[destination.treg]
type = "webhook"
url = "http://127.0.0.1:9/"
secret_file = "webhook.secret"
"""


@pytest.fixture
def configuration(tmp_path: Path, database: Path) -> Path:
    """A configuration over an empty store, with a webhook whose secret is not there."""
    assert database.parent == tmp_path
    key = tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "genpkey", "-algorithm", "RSA", "-out", key], check=True, capture_output=True
    )
    (tmp_path / "drop").mkdir()
    (tmp_path / "routing.toml").write_text(ROUTING, encoding="utf-8")
    file = tmp_path / "postmottak.toml"
    file.write_text(CONFIGURATION + _HOOK, encoding="utf-8")
    return file


def command(configuration: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    program = Path(sys.executable).with_name("postmottak")
    return subprocess.run(
        [program, "-c", configuration, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_status_names_why_the_service_does_not_start(configuration: Path) -> None:
    """What kept the last start from succeeding is the problem, with its remedy, even if the one
    who asks can read what the service could not."""
    assert command(configuration, "run").returncode == 1
    configuration.with_name("webhook.secret").write_text(
        "whsec_cG9zdG1vdHRhayBzYW5kYm94IHNlY3JldA=="
    )
    said = command(configuration, "status", "--json")
    (problem,) = [
        each for each in json.loads(said.stdout)["troubles"] if each["kind"] == "not-running"
    ]
    assert said.returncode == 3
    assert problem["critical"]
    assert "destination.treg.secret_file: cannot be read" in problem["text"]
    assert "; " in problem["text"]


def test_a_start_forgets_why_the_one_before_failed(configuration: Path) -> None:
    """A service that has started says nothing of an earlier fault, nor does one that was
    stopped."""
    database = configuration.with_name("postmottak.db")
    note_start_fault(database, "the secret is missing; write it")
    configuration.with_name("webhook.secret").write_text(
        "whsec_cG9zdG1vdHRhayBzYW5kYm94IHNlY3JldA=="
    )
    program = Path(sys.executable).with_name("postmottak")
    with subprocess.Popen([program, "-c", configuration, "run"], stderr=subprocess.PIPE) as service:
        assert service.stderr
        while start_fault(database):
            assert service.poll() is None
        service.send_signal(signal.SIGTERM)
    assert start_fault(database) == ""


def test_noting_it_never_fails(tmp_path: Path) -> None:
    """A folder that is not there, or a name that is taken, stops nothing."""
    note_start_fault(tmp_path / "none" / "x.db", "why")
    (tmp_path / "x.db.start-fault").mkdir()
    note_start_fault(tmp_path / "x.db", "why")
    clear_start_fault(tmp_path / "x.db")
    assert start_fault(tmp_path / "x.db") == ""
