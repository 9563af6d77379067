"""config/routing.example.toml is enough to write a table from."""

from __future__ import annotations

import re
from pathlib import Path

from daemon.routing.rows import Conditions, Delegation, Recipient, Route
from daemon.routing.table import Table, parse_table

EXAMPLE = (Path(__file__).parents[3] / "config" / "routing.example.toml").read_text(
    encoding="utf-8"
)
GUIDE = (Path(__file__).parents[3] / "docs" / "routing.md").read_text(encoding="utf-8")
DESTINATIONS = ["erp", "regnskap-epost"]


def uncommented() -> Table:
    """The example with everything that it offers taken into use."""
    text = re.sub(r"^# (?=\[|[a-z_]+ = )", "", EXAMPLE, flags=re.MULTILINE)
    extra = '[[recipient]]\nname = "personalsjefen"\ndeliver_to = ["erp"]\n'
    return parse_table(text + "\n" + extra, "routing.toml", DESTINATIONS)


def test_the_example_is_in_order() -> None:
    """As it is, it is a table without a fault; and so it is with everything that it offers."""
    assert parse_table(EXAMPLE, "routing.toml", DESTINATIONS).routes[-1].is_catch_all
    assert uncommented().appointed == {"personalsjefen"}


def test_the_example_shows_everything() -> None:
    """Every key that a row may have stands in it, and so does every condition in the guide."""
    rows = uncommented().rows
    for section, model in (("recipient", Recipient), ("route", Route), ("delegation", Delegation)):
        shown = {key for row in rows[section] for key in row}
        offered = {field.alias or name for name, field in model.model_fields.items()}
        written = {
            key
            for key in offered
            if re.search(rf"^(?:# )?(?:\[route\.{key}\]|{key} = )", EXAMPLE, flags=re.MULTILINE)
        }
        assert shown <= offered == written
    assert all(f"`{name}`" in GUIDE for name in Conditions.model_fields)
