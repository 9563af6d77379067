"""Commands that look at every letter say on stderr how far they are, and quick ones say nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from daemon.cli import output
from tests.unit.conftest import TABLE_TEXT
from tests.unit.service.conftest import Command, with_letters

LONG = {
    "routes test {other}": "comparing the letters, 3 seen",
    "routes apply --since 90d --dry-run": "looking at the letters, 3 seen",
    "routes apply --since 90d --yes": "routing the letters again, 3 seen",
    "retention run --dry-run": "looking at the letters, 3 seen",
    "backup {new}": "checking the attachments, ",
    "db check": "checking the attachments, ",
}
"""Commands that may take minutes, and what each says in the end."""


@pytest.mark.parametrize("arguments", LONG)
def test_a_long_command_says_how_far_it_is(
    command: Command,
    configure: Callable[[str, str], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: str,
) -> None:
    """While it works, it says what it does and how many it has seen, and without need nothing."""
    with_letters(configure, 3)
    configure("[mailbox.altinn]", '[retention]\nbody = "0d"\n\n[mailbox.altinn]')
    assert command("poll").code == 0
    (tmp_path / "other.toml").write_text(TABLE_TEXT)
    for number, (every, said) in enumerate(((60.0, ""), (0.0, LONG[arguments]))):
        monkeypatch.setattr(output, "_SAY_EVERY", every)
        new = tmp_path / f"new-{number}"
        ended = command(*arguments.format(other=tmp_path / "other.toml", new=new).split())
        assert bool(ended.err) == bool(said)
        assert f"\n{said}" in f"\n{ended.err}"
