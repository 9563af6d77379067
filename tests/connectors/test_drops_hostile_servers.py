"""Drops on servers, in folders that others may write to: what is shown of links and pipes is not
used."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from connectors.destinations import sftp
from connectors.drops.destination import DropDestination
from daemon.core.errors import TemporaryFailure
from daemon.core.ports import Parcel, PickupState
from tests.connectors.hostile import KINDS, LINKS, make_outside, picture
from tests.contracts.drop_servers import PASSWORD, sftp_server

MakeParcel = Callable[..., Parcel]
pytestmark = pytest.mark.timeout(60)
NOT_A_FOLDER = (*LINKS, "a_pipe", "a_huge_file")
NOT_A_FILE = (*LINKS, "a_pipe", "a_folder")


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    return make_outside(tmp_path)


def sftp_drop(folder: Path, port: int, known_host: str) -> DropDestination:
    (folder / "known_hosts").write_text(f"[localhost]:{port} {known_host}\n")
    (folder / "password").write_text(PASSWORD)
    options = {
        "username": "ola",
        "password_file": "password",
        "known_hosts": "known_hosts",
        "path": "inn",
        "timeout": "10s",
    }
    told = {"host": "localhost", "port": port, "layout": "csv", "await_pickup": "24h", **options}
    destination = sftp.connect("erp", sftp.Settings.model_validate(told, context={"base": folder}))
    assert isinstance(destination, DropDestination)
    return destination


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[DropDestination]:
    """A drop in `world/inn`."""
    (tmp_path / "world" / "inn").mkdir(parents=True)
    with sftp_server(tmp_path / "world") as server:
        yield sftp_drop(tmp_path, server.port, server.known_host)


@pytest.fixture
def drop(tmp_path: Path) -> Path:
    return tmp_path / "world" / "inn"


def clear(place: Path) -> None:
    shutil.rmtree(place) if place.is_dir() and not place.is_symlink() else place.unlink()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((".postmottak", kind) for kind in NOT_A_FOLDER),
        *(("index.csv", kind) for kind in NOT_A_FILE),
    ],
)
def test_what_is_planted_on_a_server(
    remote: DropDestination,
    drop: Path,
    outside: Path,
    make_parcel: MakeParcel,
    name: str,
    kind: str,
) -> None:
    """The letter waits, the reason names it, and nothing outside is touched; without it the letter
    comes, once."""
    KINDS[kind](drop / name, outside)
    before = picture(outside)
    with pytest.raises(
        TemporaryFailure, match=rf"^{name} in the drop .* is .*; move it away, or remove it"
    ):
        remote.deliver(make_parcel())
    assert picture(outside) == before
    clear(drop / name)
    receipt = remote.deliver(make_parcel())
    assert sorted(each.name for each in drop.iterdir() if not each.name.startswith(".")) == [
        receipt.details["name"],
        "index.csv",
    ]
    assert (drop / "index.csv").read_bytes().count(b"\r\n") == 3


@pytest.mark.parametrize("kind", NOT_A_FILE)
def test_an_answer_on_a_server_that_is_no_file(
    remote: DropDestination, drop: Path, outside: Path, make_parcel: MakeParcel, kind: str
) -> None:
    """It does not count as an answer, and nothing is read where a link leads."""
    evidence = remote.deliver(make_parcel()).details
    planted = drop / f"{evidence['name']}.err"
    KINDS[kind](planted, outside)
    with pytest.raises(TemporaryFailure, match=planted.name):
        remote.pickup(evidence)
    clear(planted)
    assert remote.pickup(evidence).state is PickupState.WAITING


def test_a_letters_name_on_a_server(
    remote: DropDestination, drop: Path, outside: Path, make_parcel: MakeParcel
) -> None:
    """A link that has the letter's name is something else: the letter comes under another one."""
    name = (
        remote.deliver(make_parcel("letter-1"))
        .details["name"]
        .replace(make_parcel("letter-1").document.id.hex[:8], "{}")
    )
    parcel = make_parcel("letter-2")
    (drop / name.format(parcel.document.id.hex[:8])).symlink_to(outside / "folder")
    before = picture(outside)
    assert remote.deliver(parcel).details["name"].endswith("-v2")
    assert picture(outside) == before
