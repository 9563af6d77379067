"""A canary is no letter: nothing that counts, lists or searches letters is another one after it.

Every command, every page and the numbers of the monitoring endpoint are compared before and after
a canary; a command that is added must be named here.
"""

from __future__ import annotations

import ast
import re
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import typer
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from typer.testing import CliRunner

from daemon.cli import app as command_line
from daemon.core.model import DeliveryState, delivery_id
from daemon.web.metrics import Monitoring
from tests.unit.conftest import ROOT, stored_letter
from tests.unit.page.conftest import Site, opened_site
from tests.unit.page.everything import keep_letter, pages

READS = {
    "db check",
    "deadlines calendars list",
    "deadlines list",
    "deliveries list --json",
    "deliveries show DELIVERY --json",
    "destinations list",
    "key list",
    "messages export LETTER --output OUT",
    "messages list --json",
    "messages show LETTER --json",
    "retention log --json",
    "retention run --dry-run",
    "routes explain LETTER",
    "routes lint",
    "routes list",
    "routes proposals",
    "routes test TABLE",
    "status --all",
    "status --json",
    "status --monitor",
    "web users list",
}
"""What reads letters, deliveries or numbers of them."""
OTHERS = {
    *(
        "backup",
        "canary",
        "check",
        "completion",
        "coverage",
        "db upgrade",
        "demo",
        "destinations test",
        "discover",
        "init",
    ),
    *("deadlines calendars add", "deadlines calendars revoke", "deadlines confirm"),
    *("deadlines drop", "deadlines handled", "deliveries hold", "deliveries release"),
    *("deliveries resend", "deliveries retry", "evidence export", "evidence verify"),
    *("journal head", "journal verify", "nodes forget"),
    *("key new", "messages acknowledge"),
    *("messages end-legal-hold", "messages legal-hold", "messages refetch", "messages route"),
    *("poll", "recipients handover", "reconcile", "restore", "routes apply", "routes export"),
    *("routes import", "run", "sandbox", "services", "soap describe", "store move"),
    *("store reopen", "web login-link"),
    *("web reindex", "web run", "web users add", "web users disable", "web users enable"),
    *("web users grant", "web users password", "web users revoke"),
}
"""What changes something, calls another system, or has nothing of letters."""
MORE = 'await_pickup = "2d"\n\n[canary]\nevery = "1d"\n'
_ITS_OWN = {"canaries"}
_ALL = 'SELECT * FROM "%s"'
_WANTED = {"journal": "SELECT kind, subject, facts FROM journal WHERE kind != 'event'"}
_PLACES = {
    *("daemon/store/canaries.py", "daemon/delivery/canary.py"),
    *("daemon/monitoring/canary.py", "daemon/cli/canary.py"),
    "daemon/store/stamps.py",  # which puts their times right
}
"""The only modules that know of the rows of canaries."""


def _names(command: Any, before: str = "") -> Iterator[str]:
    for name, each in getattr(command, "commands", {}).items():
        yield from _names(each, f"{before} {name}".strip())
    if not hasattr(command, "commands"):
        yield before


def _read_of(command: str) -> str:
    return " ".join(each for each in command.split() if each.islower() and each[0] != "-")


def test_every_command_is_looked_at() -> None:
    """A command is among those that are compared, or among those that read nothing of letters."""
    known = {_read_of(each) for each in READS}
    assert not known & OTHERS
    assert set(_names(typer.main.get_command(command_line))) == known | OTHERS


def test_only_these_know_of_canaries() -> None:
    """Whatever counts letters cannot count canaries, because it does not know their table."""
    found = {
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "daemon").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module == "daemon.core.canaries"
    }
    assert found == _PLACES


@pytest.fixture(name="office")
def a_page_with_letters(
    tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Site]:
    """A page whose drop is picked up, with a letter in each state."""
    assert database.parent == tmp_path
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (tmp_path / "key.pem").write_bytes(pem)
    monkeypatch.setenv("COLUMNS", "200")
    with opened_site(tmp_path, MORE) as site:
        for state in DeliveryState:
            keep_letter(site, f"own-{state}", "974761076", "regnskap", state)
        site.clock.now = datetime.now(UTC)
        yield site


def _run(site: Site, *arguments: str) -> str:
    config = str(site.page.configuration.path)
    result = CliRunner().invoke(command_line, ["--config", config, *arguments])
    return f"{result.exit_code} {result.output}"


def _commands(site: Site, letter: str, folder: Path) -> dict[str, str]:
    found = {}
    for each in sorted(READS):
        known = {
            "LETTER": letter,
            "DELIVERY": str(delivery_id(UUID(letter), "erp", 1)),
            "OUT": str(folder / "out.zip"),
            "TABLE": str(folder / "routing.toml"),
        }
        (folder / "out.zip").unlink(missing_ok=True)
        found[each] = _plain(_run(site, *(known.get(word, word) for word in each.split())))
    return found


def _plain(text: str) -> str:
    """Return the text without what goes on by itself."""
    text = re.sub(r"(oldest|free)=\d+[sB]", "", text)
    text = re.sub(r"\d+ MB", "", text)
    return re.sub(r"\b\d\d:\d\d:\d\d\b[.\d]*", "", text)


def _numbers(site: Site) -> str:
    monitoring = Monitoring(
        store=site.store,
        configuration=lambda: site.page.configuration,
        attempts=dict,
        token_ends=dict,
        faults=list,
        clock=site.clock,
    )
    lines = monitoring.text().splitlines()
    own = ("postmottak_free_bytes", "process_", "postmottak_worker")
    return "\n".join(each for each in lines if not each.startswith(own))


def _rows(site: Site) -> dict[str, list[Any]]:
    """Return every row of every table but that of canaries, and of the journal what is no event."""
    database = sqlite3.connect(site.folder / "postmottak.db")
    try:
        names = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return {
            name: sorted(map(str, database.execute(_WANTED.get(name, _ALL % name)).fetchall()))
            for (name,) in names
            if name not in {*_ITS_OWN, "events", "sessions", "sqlite_sequence"}
        }
    finally:
        database.close()


def test_nothing_counts_a_canary(office: Site, tmp_path: Path) -> None:
    """Before and after a canary that came through and one that waits for its pickup, every command
    and page says the same, the metrics are the same, and so is every row of the other tables."""
    site, letter = office, str(stored_letter("own-pending").message.id)
    kari = site.user("kari", "operator", "reader", "admin", "router")
    mine = (letter, letter)

    def everything() -> dict[str, Any]:
        return {
            "commands": _commands(site, letter, tmp_path),
            "pages": {
                name: _plain(text)
                for name, text in pages(site, kari, mine)
                if name != "/admin/log"  # which has the looks themselves
            },
            "metrics": _numbers(site),
            "rows": _rows(site),
        }

    everything()  # what the first look leaves, such as the index of the search
    before = everything()
    assert before["commands"]["messages list --json"][:2] == "0 "
    ended = _run(site, "canary", "--json")
    assert ended.startswith("0 "), ended
    assert '"result": "under-way"' in ended
    (folder,) = [each for each in (tmp_path / "drop").iterdir() if not each.name.startswith(".")]
    after = everything()
    for what, each in before.items():
        for name in each if isinstance(each, dict) else ():
            assert after[what][name] == each[name], (what, name)
        assert after[what] == each, what
    assert "canary" in folder.name
    assert len(site.store.canaries.newest()) == 1
