"""The installed systemd unit: its settings, and the command that runs a program as it would."""

from __future__ import annotations

import os
import shlex
from itertools import pairwise
from pathlib import Path

import pytest

from daemon.runtime import unit
from daemon.runtime.unit import parse

ROOT = Path(__file__).parents[2]
SHIPPED = (ROOT / "systemd/postmottak.service").read_text(encoding="utf-8")


def properties(command: list[str]) -> list[str]:
    """The properties of a systemd-run command, in their order."""
    return [value for option, value in pairwise(command) if option == "--property"]


def test_the_unit_as_shipped(tmp_path: Path) -> None:
    """Its sandbox is passed on whole, and what starts, watches and restarts it is not."""
    found = parse(SHIPPED)
    assert (found.user, found.program) == ("postmottak", ["/usr/bin/postmottak"])
    assert found.credentials == {"maskinporten.pem": Path("/etc/postmottak/maskinporten.pem")}
    command = found.command(["check"])
    assert command[-3:] == ["--", "/usr/bin/postmottak", "check"]
    passed = properties(command)
    assert {"User=postmottak", "ProtectSystem=strict", "ProtectHome=yes", "UMask=0077"} <= set(
        passed
    )
    names = {each.partition("=")[0] for each in passed}
    left_out = {"Type", "ExecStart", "ExecReload", "Restart", "RestartSec", "WatchdogSec"}
    left_out |= {"TimeoutStartSec", "TimeoutStopSec", "NotifyAccess", "RemoveIPC"}
    left_out |= {"LoadCredential", "RuntimeDirectoryMode"}  # the key does not exist here
    assert {name for name, _ in found.settings} - names == left_out
    assert "RuntimeDirectoryPreserve=yes" in passed
    filters = [each for each in passed if each.startswith("SystemCallFilter=")]
    assert filters[-1] == "SystemCallFilter=sched_setaffinity"


def test_drop_ins(tmp_path: Path) -> None:
    """Drop-ins add to the unit or clear what it says; what would keep it from starting is noted."""
    key = tmp_path / "smtp.password"
    key.touch()
    found = parse(
        f"{SHIPPED}\n# /etc/systemd/system/postmottak.service.d/override.conf\n[Service]\n"
        "ReadWritePaths=/srv/a \\\n  -/srv/b\nReadWritePaths=\nReadWritePaths=/srv/c -/srv/d\n"
        'ReadWritePaths="/srv/e f"\n'
        f"LoadCredential=smtp.password:{key}\nLoadCredential=other:/nowhere\n"
        "User=erp\nExecStart=\nExecStart=/opt/postmottak -c /srv/postmottak.toml run\n"
        "[Unit]\nReadWritePaths=/srv/not-here\n"
    )
    assert (found.user, found.program) == ("erp", ["/opt/postmottak", "-c", "/srv/postmottak.toml"])
    assert found.writable == [Path("/srv/c"), Path("/srv/e f")]
    passed = properties(found.command([]))
    paths = [each.partition("=")[2] for each in passed if each.startswith("ReadWritePaths=")]
    assert [shlex.split(each) for each in paths] == [
        ["-/srv/a", "-/srv/b"],
        [],
        ["-/srv/c", "-/srv/d"],
        ["-/srv/e f"],
    ]
    assert f"LoadCredential=smtp.password:{key}" in passed
    assert "LoadCredential=other:/nowhere" not in passed


def test_asking_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without systemd, without the unit, and without an answer, there is no unit."""
    monkeypatch.setattr(unit, "_RUNNING", tmp_path / "missing")
    assert unit.installed_unit() is None
    monkeypatch.setattr(unit, "_RUNNING", tmp_path)
    program = tmp_path / "systemctl"
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for script, known in (
        ("exit 1", None),
        ('case "$2" in cat) printf "[Service]\\nUser=x\\n";; show) echo yes;; esac', ("x", True)),
        ('case "$2" in cat) printf "[Service]\\nUser=x\\n";; show) echo no;; esac', ("x", False)),
    ):
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        found = unit.installed_unit()
        assert (found and (found.user, found.stale)) == known
