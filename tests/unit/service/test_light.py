"""The command line answers at once, because heavy libraries are imported only where they are
used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx

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


def test_contexts_have_one_authority() -> None:
    """The tests' many TLS contexts do not read all authorities of the system, and httpx, which
    refuses a file without any, gets one."""
    context = httpx.create_ssl_context()
    assert len(context.get_ca_certs()) == 1


def test_what_was_compiled_is_kept() -> None:
    """The tests' many child processes compile nothing that one of them has compiled."""
    code = "import sys; print(sys.dont_write_bytecode)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "False\n"
    assert not sys.dont_write_bytecode


def test_the_service_imports_no_decoration() -> None:
    """A log without colours needs no rich, and SQLite no other database's dialect: each start, of
    the service and of a command, would pay for them."""
    code = (
        "import sys, daemon.runtime.logs, daemon.service.app; print([each for each in sys.modules"
        " if each.startswith(('rich', 'attr', 'sqlalchemy.dialects.postgresql'))])"
    )
    home = Path(__file__).parents[3]
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=home, capture_output=True, text=True, check=True
    )
    assert ended.stdout == "[]\n"


def test_no_command_loads_rich_for_its_log() -> None:
    """Whatever a command imports first: here, all of the page, before its configuration is read."""
    code = (
        "import atexit, sys, postmottak\n"
        "loaded = lambda: [each for each in ('structlog', 'rich') if each in sys.modules]\n"
        "atexit.register(lambda: print(loaded()))\n"
        "sys.argv = ['postmottak', '-c', '/nowhere', 'web', 'run']\n"
        "postmottak.main()\n"
    )
    home = Path(__file__).parents[3]
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=home, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (1, "['structlog']\n")


def test_garbage_is_not_looked_for_among_what_is_imported() -> None:
    """A command collects garbage rarely: what its start makes, stays."""
    code = (
        "import atexit, gc, sys, postmottak\n"
        "atexit.register(lambda: sys.stderr.write(str(gc.get_threshold()[0])))\n"
        "sys.argv = ['postmottak', '--help']\n"
        "postmottak.main()\n"
    )
    home = Path(__file__).parents[3]
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=home, capture_output=True, text=True, check=True
    )
    assert int(ended.stderr) >= 10_000
