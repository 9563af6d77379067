"""JSON documents of millions of values: as one that is printed at once, and never all in memory."""

from __future__ import annotations

import gc
import os
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from daemon.cli import json_rows
from daemon.cli.json_rows import JsonRows, print_json_list
from daemon.cli.output import to_json
from daemon.core.errors import PostmottakError
from daemon.routing.dryrun import HistoricLetter, compare
from daemon.routing.facts import Facts
from daemon.routing.table import parse_table
from tests.unit.conftest import NOW

MANY = 3000
BOUND = 600_000  # bytes; so many letters in memory are more
VALUES = [
    {"id": UUID(int=1), "at": NOW, "to": ("kari",), "title": "blåbær\u200b\n\u2028"},
    {"none": None, "empty": {}, "list": []},
    "alone",
]
TABLE = """\
[[recipient]]
name = "kari"
deliver_to = ["erp"]
[[recipient]]
name = "ola"
deliver_to = ["erp"]
[[route]]
name = "Alt"
to = ["kari"]
"""


@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_documents_look_as_usual(count: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Scripts cannot see whether a document was in memory or not."""
    values: list[Any] = VALUES[:count]
    facts = {"letters": 3, "changed": count}
    print_json_list(values)
    assert capsys.readouterr().out == to_json(values)
    with JsonRows() as rows:
        for value in values:
            rows.add(value)
        rows.print_in(facts, "moves")
    assert capsys.readouterr().out == to_json({**facts, "moves": values})
    with JsonRows() as rows:
        for number, value in enumerate(values):
            rows.add(value, f'"{number}\u200b')
        rows.print_in(facts, "moves", ("{", "}"))
    by_key = {f'"{number}\u200b': value for number, value in enumerate(values)}
    assert capsys.readouterr().out == to_json({**facts, "moves": by_key})


def test_nothing_is_printed_before_all_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    """Of a dry run that fails half-way, a script gets no half document."""
    with pytest.raises(TypeError):
        _keep(["half", object()])
    assert capsys.readouterr().out == ""


def test_a_dry_run_needs_the_same_memory_for_any_number_of_letters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A dry run over all letters of a year, each of which would move, fits into a small machine."""
    monkeypatch.setattr(json_rows, "_IN_MEMORY", BOUND // 10)
    before, after = (
        parse_table(TABLE, "", None),
        parse_table(TABLE.replace('to = ["kari"]', 'to = ["ola"]'), "", None),
    )

    def letters(count: int) -> Iterator[HistoricLetter]:
        for number in range(count):
            yield HistoricLetter(message=str(UUID(int=number)), facts=Facts("4255/8", NOW))

    def dry_run(count: int) -> None:
        with JsonRows() as rows:
            assert compare(before, after, letters(count), rows.add).changed == count

    dry_run(MANY // 10)
    assert _peak(lambda: dry_run(MANY)) < BOUND


def test_a_list_needs_the_same_memory_for_any_length(monkeypatch: pytest.MonkeyPatch) -> None:
    """`messages list --json` with a high limit does not have all letters in memory."""
    values = ({"id": str(UUID(int=number)), "to": ["kari"]} for number in range(MANY))
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        monkeypatch.setattr("sys.stdout", nowhere)
        assert _peak(lambda: print_json_list(values)) < BOUND


def _peak(do: Callable[[], object]) -> int:
    often = gc.get_threshold()
    gc.set_threshold(700)  # what is garbage is not kept
    tracemalloc.start()
    try:
        do()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        gc.set_threshold(*often)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_an_error_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where temporary files find no room, the operator reads what to do, and no traceback."""
    full = Path("/dev/full").open("w+b")  # noqa: SIM115  # the rows close it
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda *_, **__: full)
    with pytest.raises(PostmottakError, match=r"No space left on device; .*TMPDIR"):
        _keep(["x" * 2_000_000, "x"])


def _keep(values: list[object]) -> None:
    with JsonRows() as rows:
        for value in values:
            rows.add(value)
