"""Lines of the unit's drop-in for paths with spaces, quotes and percent signs, as systemd reads
them; and which folders a configuration needs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from daemon.cli.prepare_machine import instruct
from daemon.core.unit_lines import shell
from daemon.runtime.unit import parse
from daemon.service.unit_needs import UnitNeeds, unit_needs

PATHS = tuple(
    Path(each)
    for each in (
        "/srv/erp/inbox",
        "/srv/Felles post/inn",
        "/srv/100 %h/x",
        '/srv/"a" b',
        "/srv/o'er",
        "/srv/back\\slash",
    )
)


def test_paths_come_through() -> None:
    """What the drop-in says is read back as the same paths, each of them one."""
    secrets = {"my secret%i": Path("/etc/x y%z")}
    text = UnitNeeds(drops=PATHS, stores=PATHS, credentials=secrets).drop_in()
    found = parse(text)
    assert found.writable == list(PATHS)  # the store's must exist, and the drops need not
    assert found.credentials == secrets
    assert text.count("ReadWritePaths=-") + text.count('ReadWritePaths="-') == len(PATHS)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd's own reader")
def test_systemd_has_no_objection(tmp_path: Path) -> None:
    """systemd reads every line; it complains about a half of a path, or an unknown specifier."""
    unit = tmp_path / "trial.service"
    secrets = {"my secret%i": Path("/etc/x y%z")}
    needs = UnitNeeds(drops=PATHS, stores=PATHS, credentials=secrets)
    unit.write_text(f"{needs.drop_in()}ExecStart=/bin/true\n")
    ended = subprocess.run(
        ["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False
    )
    assert "trial.service:" not in ended.stderr


def test_commands_name_one_folder() -> None:
    """A command to copy creates the folder, not two with the halves of its name."""
    needs = UnitNeeds(drops=PATHS, stores=(), credentials={})
    said = [each for each in instruct(needs) if each.startswith("install")]
    assert [each.partition(" 0750 ")[2] for each in said] == [shell(each) for each in PATHS]
    assert "'/srv/Felles post/inn'" in said[1]


@pytest.mark.parametrize(
    ("database", "content", "opened"),
    [
        ("/var/lib/postmottak/postmottak.db", "/srv/content", ["/srv/content"]),
        ("/srv/store/postmottak.db", "/srv/store/content", ["/srv/store"]),
        ("/srv/a/postmottak.db", "/srv/b/content", ["/srv/a", "/srv/b/content"]),
        ("/var/lib/postmottak/postmottak.db", "/var/lib/postmottak/content", []),
        ("/srv/a/postmottak.db", "/var/lib/postmottak/content", ["/srv/a"]),
    ],
)
def test_no_more_is_opened_than_needed(
    tmp_path: Path, database: str, content: str, opened: list[str]
) -> None:
    """The folder of the database and the content's own are opened, and not those above them."""
    file = tmp_path / "postmottak.toml"
    file.write_text(f'[store]\ndatabase = "sqlite:///{database}"\ncontent = "{content}"\n')
    assert [str(each) for each in unit_needs(file).stores] == opened
