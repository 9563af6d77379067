"""The operator's commands as processes of their own: how they end, and what they print, with
nothing of ours around them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.conftest import ROOT
from tests.unit.service.conftest import Ended, with_letters

COMMANDS = [
    "run",
    "poll",
    "check",
    "status",
    "messages",
    "deliveries",
    "routes",
    "services",
    "sandbox",
    "demo",
]
MEMORY = """
import connectors.mailboxes, connectors.destinations
for package in (connectors.mailboxes, connectors.destinations):
    package.__path__.append("FOLDER/" + package.__name__.rpartition(".")[2])
"""


def child(*arguments: str, before: str = "") -> list[str]:
    """The command line as a process of its own, installed as a checkout is."""
    return [sys.executable, "-c", f"{before}\nimport postmottak; postmottak.main()", *arguments]


def run_child(folder: Path, *arguments: str) -> Ended:
    """A command as a child process, in a folder that is not the checkout."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    ended = subprocess.run(
        child(*arguments),
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


def test_help(tmp_path: Path) -> None:
    """Help names every command, and needs no configuration."""
    ended = run_child(tmp_path, "--help")
    assert (ended.code, ended.err) == (0, "")
    assert all(name in ended.out for name in COMMANDS)


def test_wrong_usage_as_a_process(tmp_path: Path) -> None:
    """The process itself ends with 2."""
    ended = run_child(tmp_path, "nothing")
    assert (ended.code, ended.out) == (2, "")
    assert "nothing" in ended.err


def test_a_wrong_configuration_as_a_process(tmp_path: Path) -> None:
    """A mistake of the operator ends the process with 1 and without a traceback."""
    ended = run_child(tmp_path, "-c", "missing.toml", "poll")
    assert (ended.code, ended.out) == (1, "")
    assert (
        "missing.toml: the file cannot be read: no such file or directory. Create it, or "
        "choose another file" in ended.err
    )
    assert "Traceback" not in ended.err


def test_services(tmp_path: Path) -> None:
    """The services are one JSON document with eleven entries; and a table, which says what is only
    presumed."""
    ended = run_child(tmp_path, "services", "--json")
    assert (ended.code, ended.err) == (0, "")
    assert [each["code"] for each in ended.json] == [
        *(f"4255/{edition}" for edition in range(1, 11)),
        "5504/1",
    ]
    assert all(
        set(each) >= {"slug", "nb", "nn", "en", "process", "resources", "confidential"}
        for each in ended.json
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_run_until_a_signal(
    memory_connectors: Path,
    configuration_file: Path,
    configure: Callable[[str, str], None],
    number: signal.Signals,
) -> None:
    """The service polls, delivers, and ends with 0 when it gets the signal; its log is on
    stderr."""
    with_letters(configure)
    before = MEMORY.replace("FOLDER", str(memory_connectors))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    service = subprocess.Popen(
        child("-c", str(configuration_file), "run", before=before),
        cwd=configuration_file.parent,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with service:
        assert service.stderr
        delivered = 0
        for line in service.stderr:
            delivered += "outcome='delivered'" in line
            if delivered == 2:
                break
        service.send_signal(number)
        out, err = service.communicate(timeout=10)
    assert (service.returncode, out) == (0, "")
    assert "service stopped" in err
    assert "Traceback" not in err
