"""Make docs/examples/drops and docs/examples/webhook.json, which show what receivers get:

    .venv/bin/python -m tests.sample_drops

The destinations themselves write them, from a letter that is always the same. A test compares."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from connectors.destinations import filedrop
from connectors.sandbox.pdf import pdf
from connectors.webhooks.event import cloud_event
from daemon.core.ports import KeepsDedupRecords, Parcel
from tests.parcels import new_parcel

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"
LAYOUTS = ("folder", "flat", "pdf-only", "csv")
EVENT = "webhook.json"


def sample_letter() -> Parcel:
    """A letter with two attachments that are here and one that expired."""
    return new_parcel(
        "0198a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
        files={
            "Vedtak om merverdiavgift.pdf": pdf("Vedtak om merverdiavgift"),
            "Oversikt 3. termin.csv": "konto;beløp\n2740;1250,00\n".encode(),
        },
        missing=["Kart.pdf"],
        language="nb",
        technical_sender="991825827",
    )


def make(folder: Path) -> None:
    """Write the samples into an empty folder."""
    letter = sample_letter()
    for layout in LAYOUTS:
        drop = folder / "drops" / layout
        drop.mkdir(parents=True)
        destination = filedrop.connect(
            "erp", filedrop.Settings.model_validate({"path": drop, "layout": layout})
        )
        assert isinstance(destination, KeepsDedupRecords)
        destination.deliver(letter)
        destination.forget([letter.delivery_id])
    event = cloud_event(letter, "http://127.0.0.1:8765")
    text = json.dumps(event, ensure_ascii=False, indent=2)
    (folder / EVENT).write_text(f"{text}\n", encoding="utf-8")


def contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every sample in a folder: its path and its bytes."""
    for path in sorted([folder / EVENT, *(folder / "drops").rglob("*")]):
        if path.is_file():
            yield str(path.relative_to(folder)), path.read_bytes()


if __name__ == "__main__":
    shutil.rmtree(EXAMPLES / "drops", ignore_errors=True)
    make(EXAMPLES)
    sys.stdout.write(f"renewed {EXAMPLES}\n")
