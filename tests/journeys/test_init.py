"""First steps: from nothing to a configuration that can be filled in."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

from joserfc.jwk import RSAKey

from tests.journeys.conftest import PYTHON
from tests.processes.warm import ROOT


def _init(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin"} | (
        {"PYTHONPATH": str(ROOT)} if sys.executable == PYTHON else {}
    )
    command = [PYTHON, "-c", "import postmottak; postmottak.main()", "init", str(folder)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, cwd="/"
    )


def test_first_steps(tmp_path: Path) -> None:
    """The first run writes files and a private key, and prints its public half; the second changes
    nothing; both say what is missing."""
    folder = tmp_path / "new"
    first = _init(folder)
    assert first.returncode == 3, first.stderr
    assert (folder / "maskinporten.pem").stat().st_mode & 0o777 == 0o600
    printed = json.loads(next(line for line in first.stdout.splitlines() if line.startswith("{")))
    private = RSAKey.import_key((folder / "maskinporten.pem").read_text())
    assert printed["n"] == private.as_dict(private=False)["n"]
    assert "d" not in printed
    expires = tomllib.loads((folder / "postmottak.toml").read_text())["mailbox"]["altinn"][
        "key_expires"
    ]
    assert timedelta(days=360) < expires - datetime.now(UTC).date() < timedelta(days=366)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    second = _init(folder)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert f"begin each command with: postmottak -c {folder}/postmottak.toml\n" in second.stdout
    missing = second.stdout.partition("Still missing")[2]
    assert "client_id" in missing
    assert "parties" in missing
    assert missing.count("postmottak.toml") == 2


def test_filled_in(tmp_path: Path) -> None:
    """With what only the operator knows filled in, nothing is missing."""
    _init(tmp_path)
    path = tmp_path / "postmottak.toml"
    path.write_text(
        path.read_text()
        .replace('client_id = ""', 'client_id = "abc"')
        .replace("parties = []", 'parties = ["974761076"]')
    )
    ended = _init(tmp_path)
    assert ended.returncode == 0, ended.stdout
    assert "The files are complete" in ended.stdout


def test_a_mistake_has_no_traceback(tmp_path: Path) -> None:
    """A folder that cannot be, and a key that is none, are told in words."""
    (tmp_path / "file").touch()
    (tmp_path / "maskinporten.pem").write_text("nonsense")
    for folder in (tmp_path / "file", tmp_path):
        ended = _init(folder)
        assert ended.returncode == 1
        assert "Traceback" not in ended.stderr
        assert str(tmp_path) in ended.stderr
