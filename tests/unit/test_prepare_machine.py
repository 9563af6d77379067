"""What `init` does to a machine with the package: folders for the service's user, and a drop-in."""

from __future__ import annotations

import os
import pwd
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from daemon.cli import app, init, prepare_machine
from daemon.cli.prepare_machine import instruct, possible, prepare
from daemon.core.errors import OperatorError
from daemon.service.unit_needs import UnitNeeds

NOBODY = "nobody"
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root prepares a machine")


@pytest.fixture
def drop_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The place of the drop-in on a machine whose service runs as nobody."""
    monkeypatch.setattr(prepare_machine, "_USER", NOBODY)
    monkeypatch.setattr(prepare_machine, "_UNITS", (tmp_path,))
    monkeypatch.setattr(prepare_machine, "DROP_IN", tmp_path / "postmottak.service.d/init.conf")
    page = tmp_path / "postmottak-web.service.d/init.conf"
    monkeypatch.setattr(prepare_machine, "PAGE_DROP_IN", page)
    monkeypatch.setenv("PATH", "")  # no systemctl of this machine
    return tmp_path / "postmottak.service.d/init.conf"


def needs(*drops: Path) -> UnitNeeds:
    return UnitNeeds(drops=drops, stores=(), credentials={"smtp.password": Path("/etc/x")})


def test_folders_and_drop_in(drop_in: Path, tmp_path: Path) -> None:
    """A missing folder is made for the service's user; one that exists is left as it is."""
    there, new = tmp_path / "there", tmp_path / "srv/erp/inbox"
    there.mkdir(mode=0o700)
    said = list(prepare(needs(there, new)))
    assert new.stat().st_uid == pwd.getpwnam(NOBODY).pw_uid
    assert new.stat().st_mode & 0o777 == 0o750
    assert (there.stat().st_uid, there.stat().st_mode & 0o777) == (0, 0o700)
    assert (new.parent.stat().st_uid, drop_in.stat().st_mode & 0o777) == (0, 0o644)
    lines = drop_in.read_text().splitlines()
    assert lines[1:] == [
        "[Service]",
        f"ReadWritePaths=-{there}",
        f"ReadWritePaths=-{new}",
        "LoadCredential=smtp.password:/etc/x",
    ]
    assert [each.partition("\n")[0] for each in said] == [
        f"{there} exists already; left unchanged",
        f"{new} created, for the user nobody",
        f"{drop_in} written:",
    ]


def test_the_page_can_write_to_a_store_elsewhere(drop_in: Path, tmp_path: Path) -> None:
    """With a store outside the unit's own folder, the page's unit is given it too, and nothing of
    what only the service needs; with its own, there is no drop-in."""
    page = tmp_path / "postmottak-web.service.d/init.conf"
    list(prepare(needs(tmp_path / "inbox")))
    assert not page.exists()
    store = tmp_path / "store"
    elsewhere = replace(needs(tmp_path / "inbox"), stores=(store,))
    list(prepare(elsewhere))
    assert page.read_text().splitlines()[1:] == ["[Service]", f"ReadWritePaths={store}"]
    assert any(str(page) in each for each in instruct(elsewhere))
    list(prepare(needs(tmp_path / "inbox")))
    assert page.read_text().splitlines()[1:] == ["[Service]"]


@pytest.mark.parametrize("instead", ["link", "full"])
def test_only_the_new_folder_is_given_away(
    drop_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instead: str
) -> None:
    """What someone puts in the new folder's place, before it is given away, stays with its owner:
    a link to a folder of root's, or another folder with something in it."""
    roots, new = tmp_path / "roots", tmp_path / "inbox"
    roots.mkdir(mode=0o700)
    (roots / "secret").touch()

    def exchanged(folder: Path, mode: int) -> None:
        if instead == "link":
            folder.symlink_to(roots)
        else:
            roots.rename(folder)

    monkeypatch.setattr(prepare_machine, "make_folder", exchanged)
    with pytest.raises(OperatorError, match="inbox: is no longer the folder that was made; fix"):
        list(prepare(needs(new)))
    found = new.stat()
    assert (found.st_uid, found.st_mode & 0o777) == (0, 0o700)
    assert not drop_in.exists()


def test_the_drop_in_follows_the_configuration(drop_in: Path, tmp_path: Path) -> None:
    """Run again, it is replaced where something changed; a file that is not init's stays."""
    list(prepare(needs(tmp_path)))
    assert list(prepare(needs(tmp_path)))[-1] == f"{drop_in} is up to date"
    list(prepare(needs(tmp_path, tmp_path / "new")))
    assert f"ReadWritePaths=-{tmp_path}/new\n" in drop_in.read_text()
    drop_in.write_text("[Service]\nUMask=0027\n")
    assert "is not init's; left unchanged" in list(prepare(needs(tmp_path)))[-1]
    assert drop_in.read_text() == "[Service]\nUMask=0027\n"


@pytest.mark.parametrize("broken", [b"[destination.erp\n", b'x = "\xff"\n'])
def test_a_typo_leaves_the_drop_in_alone(
    drop_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: bytes
) -> None:
    """A configuration that cannot be read says nothing of what the service needs."""
    monkeypatch.setattr(init, "_USUAL", tmp_path)
    (tmp_path / "postmottak.service").touch()
    configuration = tmp_path / "postmottak.toml"
    text = f'[destination.erp]\ntype = "filedrop"\npath = "{tmp_path}/drop"\n'.encode()
    configuration.write_bytes(text)
    assert CliRunner().invoke(app, ["init", str(tmp_path)]).exit_code == 0
    before = drop_in.read_bytes()
    assert f"{tmp_path}/drop".encode() in before
    configuration.write_bytes(text + broken)
    ended = CliRunner().invoke(app, ["init", str(tmp_path)])
    assert (ended.exit_code, drop_in.read_bytes()) == (0, before)
    assert f"{configuration} cannot be read, so {drop_in} is left unchanged" in ended.output
    assert "Still missing in the files:" in ended.output


def test_where_it_is_possible(
    drop_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It needs the user and the unit of the package; what cannot be written is told in words."""
    assert not possible()
    (tmp_path / "postmottak.service").touch()
    assert possible()
    drop_in.parent.touch()
    with pytest.raises(OperatorError, match=r"postmottak\.service\.d: .*; fix that"):
        list(prepare(needs(tmp_path)))
    monkeypatch.setattr(prepare_machine, "_USER", "no-such-user")
    assert not possible()
