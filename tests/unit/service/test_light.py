"""The command line answers at once, because heavy libraries are imported only where they are
used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_HEAVY = (
    "pydantic",
    "sqlalchemy",
    "sqlmodel",
    "cryptography",
    "joserfc",
    "httpx",
    "httpcore",
    "alembic",
    "apscheduler",
    "structlog",
    "rich",
)


def test_help_imports_nothing_heavy() -> None:
    """`--help` prints what there is without loading a single heavy library."""
    code = (
        "import sys; from daemon.cli import app\n"
        "try:\n    app(['--help'])\n"
        f"except SystemExit:\n    sys.stderr.write(' '.join(name for name in {_HEAVY} if name "
        "in sys.modules))"
    )
    home = Path(__file__).parents[3]
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=home, capture_output=True, text=True, check=True
    )
    assert "run" in ended.stdout
    assert ended.stderr == ""


def test_status_imports_no_certificates() -> None:
    """`status` does without cryptography, unless a destination has a client certificate."""
    code = (
        "import sys, daemon.cli.status_facts; print([each for each in sys.modules"
        " if each.startswith('cryptography')])"
    )
    home = Path(__file__).parents[3]
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=home, capture_output=True, text=True, check=True
    )
    assert ended.stdout == "[]\n"
