"""SMB where it differs from a folder: how it logs in, what it encrypts, and what it says when it
cannot."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.destinations import smb
from connectors.destinations.smb import Settings
from daemon.core.errors import StoreError, TemporaryFailure
from daemon.core.ports import Parcel
from tests.contracts.drop_servers import PASSWORD, SmbServer, smb_server
from tests.handing_over import hand_over, names

pytest.importorskip("smbclient", reason="smbprotocol is not installed")
MakeParcel = Callable[..., Parcel]


@pytest.fixture(scope="module")
def samba(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmbServer]:
    with smb_server(tmp_path_factory.mktemp("samba")) as running:
        yield running


@pytest.fixture
def drop(samba: SmbServer, tmp_path: Path) -> Path:
    """A folder of the share, for one test."""
    folder = samba.root / tmp_path.name
    folder.mkdir()
    return folder


def settings(folder: Path, samba: SmbServer, **options: Any) -> Settings:
    (folder / "password").write_text(PASSWORD)
    usual = {
        "host": "127.0.0.1",
        "port": samba.port,
        "share": "post",
        "username": samba.username,
        "password_file": "password",
    }
    return Settings.model_validate(
        {**usual, "path": folder.name, "timeout": "20s", **options}, context={"base": folder}
    )


def failure(folder: Path, samba: SmbServer, parcel: Parcel, **options: Any) -> str:
    with pytest.raises(TemporaryFailure) as caught:
        hand_over(smb.connect("erp", settings(folder, samba, **options)), parcel)
    return str(caught.value)


def test_a_wrong_password_is_said(
    tmp_path: Path, samba: SmbServer, drop: Path, make_parcel: MakeParcel
) -> None:
    """A refused log-in names the options to look at, and not the password."""
    (tmp_path / "wrong").write_text("feil-passord")
    said = failure(tmp_path, samba, make_parcel(), password_file="wrong")
    assert "refuses the log-in; check username and password_file" in said
    assert "feil-passord" not in said


@pytest.mark.parametrize("options", [{"share": "borte"}, {"path": "borte/inn"}])
def test_a_missing_share_or_folder_is_said(
    tmp_path: Path, samba: SmbServer, drop: Path, make_parcel: MakeParcel, options: dict[str, str]
) -> None:
    """A wrong share or folder is told from a server that is down, and nothing is made up."""
    assert "does not exist; check share, or create the folder" in failure(
        tmp_path, samba, make_parcel(), **options
    )
    assert not (samba.root / "borte").exists()


@pytest.mark.parametrize("encrypt", [True, False])
def test_a_folder_in_the_share(
    tmp_path: Path, samba: SmbServer, drop: Path, make_parcel: MakeParcel, encrypt: bool
) -> None:
    """A path of several folders, encrypted or only signed, holds the letter where the receipt
    says."""
    (drop / "a" / "b").mkdir(parents=True)
    receipt = hand_over(
        smb.connect("erp", settings(tmp_path, samba, path=f"{drop.name}/a\\b", encrypt=encrypt)),
        make_parcel(),
    )
    assert names(drop / "a" / "b") == [receipt.details["name"]]


@pytest.mark.parametrize("layout", ["flat", "pdf-only", "csv"])
def test_other_layouts(
    tmp_path: Path, samba: SmbServer, drop: Path, make_parcel: MakeParcel, layout: str
) -> None:
    """Each layout is the same here as on a disk, and a repeat finds it."""
    pytest.importorskip("fpdf", reason="fpdf2 is not installed")
    destination = smb.connect("erp", settings(tmp_path, samba, layout=layout))
    receipt = hand_over(destination, make_parcel())
    hand_over(destination, make_parcel("letter-2"))
    assert set(receipt.details["dropped"]) < set(names(drop))
    assert hand_over(destination, make_parcel()).details["found"]


def test_a_store_that_fails_stays_the_stores_failure(
    tmp_path: Path, samba: SmbServer, drop: Path, make_parcel: MakeParcel
) -> None:
    """A failure of the store is passed on as it is, and nothing is left on the server."""

    def broken() -> Any:
        raise StoreError("gone")

    parcel = make_parcel()
    with pytest.raises(StoreError):
        hand_over(
            smb.connect("erp", settings(tmp_path, samba)),
            replace(parcel, parts=(replace(parcel.parts[0], open=broken),)),
        )
    assert names(drop) == []


def test_a_server_that_says_nothing_is_not_waited_for(
    tmp_path: Path, samba: SmbServer, drop: Path, make_parcel: MakeParcel
) -> None:
    """A server that accepts a connection and keeps silent is given up after the timeout."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        said = failure(tmp_path, samba, make_parcel(), port=silent.getsockname()[1], timeout="1s")
    assert "cannot be used on port" in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"share": "post/inn"}, "folders in path"),
        ({"host": "fil server"}, "is not a valid server name or address"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    tmp_path: Path, samba: SmbServer, options: dict[str, str], words: str
) -> None:
    """A configuration that could never work is a fault that says what to write."""
    with pytest.raises(ValidationError, match=words):
        settings(tmp_path, samba, **options)
