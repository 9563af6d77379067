"""The samples in docs/examples are what the code writes, and what a reader expects."""

from __future__ import annotations

import ast
import csv
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from tests.sample_drops import EVENT, EXAMPLES, LAYOUTS, contents, make, sample_letter

RENEW = "renew docs/examples: .venv/bin/python -m tests.sample_drops"
SCHEMA = json.loads((EXAMPLES.parent / "message.schema.json").read_text(encoding="utf-8"))


def test_the_samples_are_what_the_code_writes(tmp_path: Path) -> None:
    """Each file of the samples has the bytes that the destinations write today, and none is missing
    or left over."""
    make(tmp_path)
    assert dict(contents(EXAMPLES)) == dict(contents(tmp_path)), RENEW


def test_there_is_a_sample_of_each_layout() -> None:
    """A new layout comes with a sample."""
    from connectors.drops.settings import DropSettings

    layouts = DropSettings.model_fields["layout"].annotation.__args__  # type: ignore[union-attr]
    assert set(LAYOUTS) == set(layouts)
    assert {path.name for path in (EXAMPLES / "drops").iterdir()} == set(LAYOUTS)


def test_the_samples_follow_the_schema() -> None:
    """Every letter in the samples, and the event's data, is valid by docs/message.schema.json."""
    letters = [json.loads(path.read_text()) for path in (EXAMPLES / "drops").rglob("*.json")]
    letters.append(json.loads((EXAMPLES / EVENT).read_text())["data"])
    assert len(letters) == len(LAYOUTS)
    for letter in letters:
        jsonschema.validate(letter, SCHEMA)


@pytest.mark.parametrize("layout", ["folder", "csv"])
def test_the_sums_of_the_samples_are_right(layout: str) -> None:
    """`sha256sum -c`, and the index, agree with the files."""
    (sums,) = (EXAMPLES / "drops" / layout).rglob("SHA256SUMS")
    for line in sums.read_text().splitlines():
        digest, _, name = line.partition("  ")
        assert hashlib.sha256((sums.parent / name).read_bytes()).hexdigest() == digest
    for index in (EXAMPLES / "drops" / layout).glob("index.csv"):
        with index.open(encoding="utf-8-sig", newline="") as file:
            for row in csv.DictReader(file, delimiter=";"):
                data = (index.parent / row["folder"] / row["file"]).read_bytes()
                assert hashlib.sha256(data).hexdigest() == row["sha256"]


def test_the_consumer_is_short() -> None:
    """Each way to take letters is a function of at most 20 lines."""
    tree = ast.parse((EXAMPLES / "consumer.py").read_text(encoding="utf-8"))
    lengths = {
        each.name: (each.end_lineno or 0) - each.lineno + 1
        for each in tree.body
        if isinstance(each, ast.FunctionDef)
    }
    assert {"take_from_drop", "take_from_api", "take_webhooks"} <= set(lengths)
    assert max(lengths.values()) <= 20, lengths


def test_a_consumer_can_be_tried_on_the_samples(tmp_path: Path) -> None:
    """The example consumer takes the sample of the layout folder; one with a damaged file stays,
    and the operator is told why."""
    drop, inbox = tmp_path / "drop", tmp_path / "inbox"
    shutil.copytree(EXAMPLES / "drops" / "folder", drop)
    words = [EXAMPLES / "consumer.py", "drop", drop, inbox]
    command = [sys.executable, "-I", "-S", *map(str, words)]
    (folder,) = drop.iterdir()
    pdf = folder / "001-vedtak-om-merverdiavgift.pdf"
    right = pdf.read_bytes()
    pdf.write_bytes(b"%PDF")
    subprocess.run(command, check=True, timeout=60)
    assert [each for each in inbox.iterdir() if not each.name.startswith(".")] == []
    said = (drop / f"{folder.name}.err").read_text()
    assert said == f"permanent\n{pdf.name} is damaged\n"
    pdf.write_bytes(right)
    subprocess.run(command, check=True, timeout=60)
    assert (inbox / str(sample_letter().delivery_id) / pdf.name).read_bytes() == right
    assert not folder.exists()
