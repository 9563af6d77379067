"""What no id can be, and files that never end, are refused in one short line."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.core import bounded_file
from tests.unit.service.conftest import Command

NAMES = {"not text": "\udcff", "long": "x" * 100_000, "NUL": "a\x00b"}
COMMANDS = [
    ("messages", "show"),
    ("messages", "export"),
    ("messages", "refetch"),
    ("deliveries", "show"),
    ("deliveries", "retry"),
    ("routes", "explain"),
]


@pytest.mark.parametrize("name", ["not text", "long", "NUL"])
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_what_no_id_can_be(command: Command, words: tuple[str, ...], name: str) -> None:
    """An id that no letter can have does not exist, and is repeated only as far as an id goes."""
    command("poll")
    ended = command(*words, NAMES[name])
    assert ended.code == 1, ended
    assert "does not exist" in ended.err
    assert len(ended.err) < 200
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("option", ["--title", "--sender", "--party", "--recipient"])
def test_what_no_letter_can_have(command: Command, option: str) -> None:
    """What is looked for may be any bytes: nothing is found, or the option is refused."""
    command("poll")
    assert command("messages", "list", option, "\udcff").code in {0, 1, 2}


def test_a_file_that_never_ends(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device in place of a table is refused, wherever a table is read."""
    command("poll")
    monkeypatch.setattr(bounded_file, "LONGEST", 100_000)
    ended = command("routes", "test", "/dev/zero")
    assert (ended.code, ended.out) == (1, "")
    assert "/dev/zero: the file cannot be read: file too large" in ended.err
    (tmp_path / "routing.toml").unlink()
    (tmp_path / "routing.toml").symlink_to("/dev/zero")
    assert "file too large" in command("routes", "list").err
