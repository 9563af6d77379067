"""`check` by root, through systemd-run: what the child says is passed on, and what stops it is
told.

systemd is played by two small programs; `make system-test` has the real one.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from daemon.cli import app
from daemon.runtime import unit

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root checks as another user")
CHILD = f"{shlex.quote(sys.executable)} -c 'import postmottak; postmottak.main()'"
CONFIGURATION = """
[store]
database = "sqlite:///store/postmottak.db"
content = "store/content"
[routing]
file = "routing.toml"
[mailbox.arkiv]
type = "folder"
path = "letters"
party = "974761076"
[destination.erp]
type = "filedrop"
path = "drop"
"""
TABLE = 'recipient = [{ name = "a", deliver_to = ["erp"] }]\nroute = [{ name = "b", to = ["a"] }]\n'
Check = Callable[..., Result]


def _program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Check an installation whose unit says `lines` more; `run` is what systemd-run does."""
    for folder in ("bin", "store", "letters", "drop"):
        (tmp_path / folder).mkdir()
    configuration = tmp_path / "postmottak.toml"
    configuration.write_text(CONFIGURATION)
    (tmp_path / "routing.toml").write_text(TABLE)
    monkeypatch.setattr(unit, "_RUNNING", tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    through = 'echo "$@" > asked; while [ "$1" != -- ]; do shift; done; shift; exec "$@"'

    def checked(*options: str, lines: str = "", run: str = through, stale: str = "no") -> Result:
        text = f"[Service]\nUser=root\nExecStart={CHILD} -c {configuration} run\n{lines}\n"
        (tmp_path / "unit").write_text(text)
        script = f'case "$2" in cat) cat {tmp_path / "unit"};; show) echo {stale};; esac'
        _program(tmp_path / "bin/systemctl", script)
        _program(tmp_path / "bin/systemd-run", run.replace("asked", str(tmp_path / "asked")))
        return CliRunner().invoke(app, ["-c", str(configuration), "check", *options])

    return checked


def test_what_the_service_finds(check: Check, tmp_path: Path) -> None:
    """The findings are the child's, which gets the unit's sandbox, and so is the exit code."""
    found = check(lines=f"ProtectSystem=strict\nReadWritePaths={tmp_path / 'drop'}\nRestart=always")
    assert found.exit_code == 0, found.output
    assert "ok   service: checked as root, with the sandbox and the credentials of" in found.output
    assert f"ok   destination erp: the drop {tmp_path / 'drop'} can be written" in found.output
    asked = (tmp_path / "asked").read_text()
    assert (
        f"--property ProtectSystem=strict --property ReadWritePaths=-{tmp_path / 'drop'}" in asked
    )
    assert "Restart" not in asked
    (tmp_path / "drop").rmdir()
    found = check("--json")
    document = json.loads(found.stdout)
    assert (found.exit_code, document["ok"]) == (1, False)
    assert [each["subject"] for each in document["findings"] if not each["ok"]] == [
        "destination erp"
    ]


def test_faults_that_only_the_service_has(check: Check) -> None:
    """A fault that the child finds in the files ends the command as its own would."""
    fault = {"file": "x.toml", "key": "a.b", "line": 3, "problem": "is wrong", "remedy": "Mend it"}
    found = check(run=f"echo '{json.dumps({'fault': fault})}'")
    assert (found.exit_code, str(found.exception)) == (1, "x.toml:3: a.b: is wrong. Mend it")
    found = check("--json", run=f"echo '{json.dumps({'fault': fault})}'")
    assert json.loads(found.stdout)["faults"] == [fault]
    assert found.exit_code == 1


@pytest.mark.parametrize(
    ("code", "words"), [(226, "cannot be mounted"), (243, "a credential"), (9, "ended with code 9")]
)
def test_a_service_that_cannot_start(check: Check, code: int, words: str) -> None:
    """Where systemd cannot start the child, or it breaks off, the check fails and says why."""
    found = check(run=f"exit {code}")
    assert found.exit_code == 1
    assert "FAIL service: the check could not be run as the service" in found.output
    assert words in found.output


def test_what_keeps_the_unit_from_starting(check: Check, tmp_path: Path) -> None:
    """A missing credential and a missing folder are told, and the rest is checked without them."""
    lines = f"LoadCredential=smtp:{tmp_path}/none\nReadWritePaths={tmp_path}/gone"
    found = check(lines=lines, stale="yes")
    assert found.exit_code == 1
    assert f"FAIL service: LoadCredential=smtp:{tmp_path}/none names a file" in found.output
    assert f"create it: install -d -o root -g root {tmp_path}/gone" in found.output
    assert "systemctl daemon-reload" in found.output
    assert "ok   destination erp" in found.output


def test_another_configuration(check: Check, tmp_path: Path) -> None:
    """A configuration that is not the unit's is checked here, by whoever asks."""
    check()
    other = tmp_path / "other.toml"
    other.write_text(CONFIGURATION)
    (tmp_path / "asked").unlink()
    found = CliRunner().invoke(app, ["-c", str(other), "check", "--offline"])
    assert (found.exit_code, (tmp_path / "asked").exists()) == (0, False)
