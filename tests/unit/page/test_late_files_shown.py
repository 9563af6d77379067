"""What a person sees of files that are missing or came later, and of letters that were opened."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

from typer.testing import CliRunner

from daemon.cli import app as command_line
from daemon.core.missing_files import MissingFileValues, OpeningValues
from daemon.core.model import PartState, message_id
from tests.unit.conftest import NOW, TABLE, stored_letter
from tests.unit.page.conftest import Site
from tests.unit.page.test_overview import write_key

KEY, REASON = message_id("altinn", "a"), "its owner answered 409"


def test_it_is_shown_why_until_when_and_by_whom(site: Site) -> None:
    """On the letter's page with what happened, and by `messages show`, for people and as JSON."""
    letter, due = stored_letter("a"), NOW + timedelta(minutes=5)
    (part,) = letter.attachments
    part.state, part.size, part.sha256 = PartState.UNAVAILABLE, None, None
    missing = MissingFileValues(
        message_id=KEY, position=1, reason=REASON, since=NOW, tried_at=NOW, tries=3, due_at=due
    )
    opening = OpeningValues(message_id=KEY, by="the system user", why="seen = stored", since=NOW)
    opening.opened_at = NOW
    site.store.letters.note_table(TABLE.version, TABLE.text, NOW)
    site.store.letters.add([replace(letter, missing=[missing], opening=opening)])
    visitor = site.user("kari", "reader")
    text = visitor.get(f"/letters/{KEY}").text
    assert f'data-testid="why-missing">{REASON}<' in text
    assert f'<time datetime="{due:%Y-%m-%dT%H:%M}' in text
    for kind in ("file missing", "dialog opened"):
        assert f'data-kind="{kind}"' in text
    assert "seen = stored" in text
    write_key(site)
    file = str(site.folder / "postmottak.toml")
    shown = CliRunner().invoke(command_line, ["-c", file, "messages", "show", str(KEY)]).output
    assert "unavailable, its owner answered 409, after 3 tries, asked for again 2026" in shown
    assert "by the system user: seen = stored" in shown
    command = ["-c", file, "messages", "show", str(KEY), "--json"]
    facts = json.loads(CliRunner().invoke(command_line, command).stdout)
    assert facts["attachments"][0]["missing"]["reason"] == REASON
    assert facts["opening"]["by"] == "the system user"
    site.store.missing_files.came(part.model_copy(update={"state": PartState.PRESENT}), NOW)
    text = visitor.get(f"/letters/{KEY}").text
    assert 'data-kind="file came"' in text
    assert "why-missing" not in text
