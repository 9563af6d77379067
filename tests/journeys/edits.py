"""A routing table that is edited while the service runs, in the ways in which editors and scripts
save files."""

from __future__ import annotations

import hashlib
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tests.journeys.conftest import Journey

RECIPIENTS = """\
# Who gets what.
[[recipient]]
name = "regnskap"
deliver_to = ["mappe"]

[[recipient]]
name = "post"
deliver_to = ["mappe"]

"""
TAX = '[[route]]\nname = "Skatt"\nservices = ["4255/8"]\nto = ["regnskap"]\n\n'
REST = '[[route]]\nname = "Alt annet"\nto = ["post"]\n'
TABLE = RECIPIENTS + TAX + REST


def version(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def query(journey: Journey, sql: str, *values: str) -> list[tuple[str, ...]]:
    with closing(
        sqlite3.connect(f"file:{journey.scene.folder}/postmottak.db?mode=ro", uri=True, timeout=10)
    ) as database:
        return database.execute(sql, values).fetchall()


def in_force(journey: Journey) -> str:
    if not (journey.scene.folder / "postmottak.db").exists():
        return ""
    found = query(
        journey, "SELECT version FROM routing_versions ORDER BY in_force_since DESC LIMIT 1"
    )
    return found[0][0] if found else ""


def decisions(journey: Journey) -> dict[str, tuple[str, str]]:
    """The route and the table of each stored letter, by its id in Altinn."""
    rows = query(
        journey,
        "SELECT m.external_id, d.route, d.routing_version FROM messages m JOIN decisions d ON "
        "d.message_id = m.id AND d.number = 1",
    )
    return {letter: (route, table) for letter, route, table in rows}


def table_file(journey: Journey) -> Path:
    return journey.scene.folder / "routing.toml"


def slowly(path: Path, text: str, meanwhile: Callable[[], object]) -> None:
    """As a script does that writes as it goes along."""
    with path.open("w", encoding="utf-8") as file:
        for start in range(0, len(text), len(text) // 4):
            file.write(text[start : start + len(text) // 4])
            file.flush()
            meanwhile()


def in_place(path: Path, text: str, meanwhile: Callable[[], object]) -> None:
    """As `echo > file` does: emptied, and then written."""
    with path.open("w", encoding="utf-8") as file:
        meanwhile()
        file.write(text)


def renamed(path: Path, text: str, meanwhile: Callable[[], object]) -> None:
    """As vim does: the old file goes aside, and a new one comes in its place."""
    backup = path.with_name(path.name + "~")
    path.rename(backup)
    meanwhile()
    path.write_text(text, encoding="utf-8")
    backup.unlink()


def streamed(path: Path, text: str, meanwhile: Callable[[], object]) -> None:
    """As `sed -i` does."""
    new = text.split("utgave ")[1].split('"', maxsplit=1)[0]
    subprocess.run(["sed", "-i", f"s/utgave [0-9]*/utgave {new}/", str(path)], check=True)
    meanwhile()


def linked(path: Path, text: str, meanwhile: Callable[[], object]) -> None:
    """As a configuration management does: a new file, and a symbolic link that is swapped."""
    behind = path.with_name(f"{version(text)[:8]}.toml")
    behind.write_text(text, encoding="utf-8")
    meanwhile()
    swap = path.with_name("swap")
    swap.symlink_to(behind.name)
    swap.rename(path)


def broken(path: Path, text: str, meanwhile: Callable[[], object]) -> None:
    """Saved broken, and fixed at once."""
    path.write_text(text.replace('to = ["post"]', 'to = ["pots"]'), encoding="utf-8")
    meanwhile()
    path.write_text(text, encoding="utf-8")


STYLES = (slowly, renamed, streamed, broken, linked, in_place, slowly, renamed)
"""Each after another that it could be disturbed by: the last two write and rename a symbolic
link."""


def link_swapped_further_up(journey: Journey, text: str) -> tuple[Path, Callable[[], Path]]:
    """A configuration whose routing table lies behind a link, and what swaps that link so that no
    watched folder tells of it.

    After the swap the table says `text`; its new place is returned. Nothing else happens in the
    configuration's folder, for any file that comes or goes there lets the service look.
    """
    tables, etc = journey.scene.folder / "tables", journey.scene.folder / "etc"
    for name, content in (("old", TABLE), ("new", text)):
        (tables / name).mkdir(parents=True)
        (tables / name / "routing.toml").write_text(content)
    (tables / "current").symlink_to("old")
    etc.mkdir()
    configured = journey.scene.configuration.read_text().replace("sqlite:///", "sqlite:///../")
    for name in ("content", "maskinporten.pem", "drop", "webhook.secret"):
        configured = configured.replace(f'"{name}"', f'"../{name}"')
    (etc / "postmottak.toml").write_text(
        configured.replace('"routing.toml"', '"../tables/current/routing.toml"')
    )

    def swap() -> Path:
        (tables / "next").symlink_to("new")
        (tables / "next").rename(tables / "current")
        return tables / "new" / "routing.toml"

    return etc / "postmottak.toml", swap
