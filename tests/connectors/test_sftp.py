"""SFTP where it differs from a folder: whom it trusts, how it logs in, servers that can less, and
what it says when it cannot."""

from __future__ import annotations

import base64
import hmac
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.destinations import sftp
from connectors.destinations.sftp import Settings
from daemon.core.errors import StoreError, TemporaryFailure
from daemon.core.ports import Parcel
from tests.contracts.drop_servers import PASSWORD, SftpServer, sftp_server
from tests.handing_over import hand_over

asyncssh = pytest.importorskip("asyncssh", reason="asyncssh is not installed")
MakeParcel = Callable[..., Parcel]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SftpServer]:
    (tmp_path / "world" / "inn").mkdir(parents=True)
    with sftp_server(tmp_path / "world") as running:
        yield running


def settings(folder: Path, server: SftpServer, **options: Any) -> Settings:
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{server.port} {server.known_host}\n")
    (folder / "password").write_text(PASSWORD)
    usual = {
        "host": "127.0.0.1",
        "port": server.port,
        "username": "ola",
        "password_file": "password",
        "known_hosts": "known_hosts",
    }
    return Settings.model_validate(
        {**usual, "path": "inn", "timeout": "20s", **options}, context={"base": folder}
    )


def failure(folder: Path, server: SftpServer, parcel: Parcel, **options: Any) -> str:
    with pytest.raises(TemporaryFailure) as caught:
        hand_over(sftp.connect("erp", settings(folder, server, **options)), parcel)
    return str(caught.value)


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def test_a_server_with_another_key_gets_nothing(
    tmp_path: Path, server: SftpServer, make_parcel: MakeParcel
) -> None:
    """If the server's key is not the known one no letter is handed over, and the message says whom
    to ask."""
    other = settings(tmp_path, server)
    stranger = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:{server.port} {stranger}")
    with pytest.raises(TemporaryFailure, match=r"another key than .*known_hosts says"):
        hand_over(sftp.connect("erp", other), make_parcel())
    assert names(server.root / "inn") == []


def _hashed(name: str) -> str:
    """A name as `ssh-keygen -H` hides it: sshd(8)."""
    salt = b"0123456789abcdefghij"
    digest = hmac.new(salt, name.encode(), "sha1").digest()
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


def _key(kind: str = "ssh-ed25519") -> str:
    return str(asyncssh.generate_private_key(kind).export_public_key().decode().strip())


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("[127.0.0.1]:{port} {right}", ""),
        ("127.0.0.1 {right}", ""),
        ("{hashed} {right}", ""),
        ("\ufeff[127.0.0.1]:{port} {right}", ""),
        ("[127.0.0.1]:{port} {other}\n[127.0.0.1]:{port} {right}", ""),
        ("[127.0.0.1]:{port} {other}", "has another key than"),
        ("{hashed} {other}", "has another key than"),
        ("sftp.example.no {right}", "is not in "),
        ("[127.0.0.1]:1 {right}", "is not in "),
        ("@revoked [127.0.0.1]:{port} {right}\n[127.0.0.1]:{port} {right}", "calls revoked"),
        ("@revoked [127.0.0.1]:{port} {right}\n127.0.0.1 {right}", "calls revoked"),
        ("@revoked * {right}\n127.0.0.1 {right}", "calls revoked"),
    ],
)  # fmt: skip  # one line for each entry
def test_known_another_unknown_and_revoked_are_told_apart(
    tmp_path: Path, server: SftpServer, make_parcel: MakeParcel, entry: str, said: str
) -> None:
    """Only a known key gets the letter; an unknown server is told with the command that asks for
    its key, and another key as a danger."""
    chosen = settings(tmp_path, server)
    keys = {
        "right": server.known_host,
        "other": _key(),
        "hashed": _hashed(f"[127.0.0.1]:{server.port}"),
    }
    (tmp_path / "known_hosts").write_text(
        entry.format(port=server.port, **keys) + "\n", encoding="utf-8"
    )
    if not said:
        hand_over(sftp.connect("erp", chosen), make_parcel())
        assert len(names(server.root / "inn")) == 1
        return
    with pytest.raises(TemporaryFailure) as caught:
        hand_over(sftp.connect("erp", chosen), make_parcel())
    assert said in str(caught.value)
    assert ("ssh-keyscan" in str(caught.value)) == (said == "is not in ")
    assert names(server.root / "inn") == []


@pytest.mark.parametrize(
    "entry", ["[127.0.0.1]:{port} {rsa}", "@cert-authority [127.0.0.1]:{port} {right}"]
)
def test_a_key_of_another_kind(
    tmp_path: Path, server: SftpServer, make_parcel: MakeParcel, entry: str
) -> None:
    """A server without a key of the known kind gets nothing, and its key is named as what to ask
    for, no matter which side hangs up first."""
    chosen = settings(tmp_path, server)
    known = entry.format(port=server.port, right=server.known_host, rsa=_key("ssh-rsa"))
    (tmp_path / "known_hosts").write_text(f"{known}\n")
    with pytest.raises(
        TemporaryFailure,
        match=r"has another key than|no key of the kinds that .*known_hosts has for it",
    ) as caught:
        hand_over(sftp.connect("erp", chosen), make_parcel())
    assert "ssh-keyscan" not in str(caught.value)
    assert names(server.root / "inn") == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no server's key"),
        (b"# nothing\n", "holds no server's key"),
        (b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ", "holds no server's key"),
        ("host ssh-ed25519 AAAA".encode("utf-16"), "is in UTF-16"),
        (b"one-word", "cannot be read"),
    ],
)
def test_a_known_hosts_without_a_key(
    tmp_path: Path, server: SftpServer, content: bytes, said: str
) -> None:
    """A file with no key in it, or in a form that PowerShell writes, is a fault of the
    configuration, with the command to run."""
    settings(tmp_path, server)
    (tmp_path / "hosts").write_bytes(content)
    with pytest.raises(ValidationError) as caught:
        settings(tmp_path, server, known_hosts="hosts")
    told = str(caught.value.errors()[0]["msg"])
    assert said in told
    assert f"ssh-keyscan -p {server.port} 127.0.0.1" in told


def test_a_wrong_password_is_said(
    tmp_path: Path, server: SftpServer, make_parcel: MakeParcel
) -> None:
    """A refused log-in names the options to look at, and not the password."""
    (tmp_path / "wrong").write_text("feil-passord")
    said = failure(tmp_path, server, make_parcel(), password_file="wrong")
    assert "refuses the log-in; check username, key_file and password_file" in said
    assert "feil-passord" not in said


def test_a_key_logs_in(tmp_path: Path, make_parcel: MakeParcel) -> None:
    """A private key is enough, without a password."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(str(tmp_path / "id"))
    (tmp_path / "world" / "inn").mkdir(parents=True)
    with sftp_server(tmp_path / "world", authorized=key.export_public_key().decode()) as server:
        chosen = settings(tmp_path, server, key_file="id", password_file="")
        hand_over(sftp.connect("erp", chosen), make_parcel())
    assert len(names(tmp_path / "world" / "inn")) == 1


def test_a_missing_folder_is_not_made(
    tmp_path: Path, server: SftpServer, make_parcel: MakeParcel
) -> None:
    """The drop's own folder must be there: it may be on a share that comes and goes behind the
    server."""
    assert "does not exist; create the folder on the server" in failure(
        tmp_path, server, make_parcel(), path="borte"
    )
    assert names(server.root) == ["inn"]


def test_an_absolute_path_is_the_servers(
    tmp_path: Path, server: SftpServer, make_parcel: MakeParcel
) -> None:
    """A path may start at the server's root, and the receipt shows where the letter lies."""
    receipt = hand_over(
        sftp.connect("erp", settings(tmp_path, server, path="/inn/")), make_parcel()
    )
    assert receipt.reference == f"sftp://127.0.0.1:{server.port}/inn/{receipt.details['name']}"
    assert names(server.root / "inn") == [receipt.details["name"]]


def test_the_mode_is_asked_for(tmp_path: Path, server: SftpServer, make_parcel: MakeParcel) -> None:
    """Files and folders get the mode of the configuration, as far as the server's umask lets
    them."""
    receipt = hand_over(sftp.connect("erp", settings(tmp_path, server, mode="0600")), make_parcel())
    folder = server.root / "inn" / receipt.details["name"]
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {each.stat().st_mode & 0o777 for each in folder.iterdir()} == {0o600}


def test_a_server_that_can_less_is_enough(tmp_path: Path, make_parcel: MakeParcel) -> None:
    """Without fsync and posix-rename a letter comes all the same, and so do its lines in the
    index."""

    # of a library that may be missing
    class Plain(asyncssh.SFTPServer):  # type: ignore[misc, name-defined]
        def fsync(self, *_: object) -> None:
            raise asyncssh.SFTPOpUnsupported("no")

        def posix_rename(self, *_: object) -> None:
            raise asyncssh.SFTPOpUnsupported("no")

    (tmp_path / "world" / "inn").mkdir(parents=True)
    with sftp_server(tmp_path / "world", factory=Plain) as server:
        destination = sftp.connect("erp", settings(tmp_path, server, layout="csv"))
        for letter in ("letter-1", "letter-2"):
            hand_over(destination, make_parcel(letter))
    drop = tmp_path / "world" / "inn"
    assert len(names(drop)) == 3
    assert (drop / "index.csv").read_bytes().count(b"\r\n") == 5


@pytest.mark.parametrize("layout", ["flat", "pdf-only"])
def test_other_layouts(
    tmp_path: Path, server: SftpServer, make_parcel: MakeParcel, layout: str
) -> None:
    """Each layout is the same here as on a disk, and a repeat finds it."""
    pytest.importorskip("fpdf", reason="fpdf2 is not installed")
    destination = sftp.connect("erp", settings(tmp_path, server, layout=layout))
    receipt = hand_over(destination, make_parcel())
    assert names(server.root / "inn") == sorted(receipt.details["dropped"])
    assert hand_over(destination, make_parcel()).details["found"]


def test_a_store_that_fails_stays_the_stores_failure(
    tmp_path: Path, server: SftpServer, make_parcel: MakeParcel
) -> None:
    """A failure of the store is passed on as it is, and nothing is left on the server."""

    def broken() -> Any:
        raise StoreError("gone")

    parcel = make_parcel()
    with pytest.raises(StoreError):
        hand_over(
            sftp.connect("erp", settings(tmp_path, server)),
            replace(parcel, parts=(replace(parcel.parts[0], open=broken),)),
        )
    assert names(server.root / "inn") == []


def test_a_server_that_says_nothing_is_not_waited_for(
    tmp_path: Path, server: SftpServer, make_parcel: MakeParcel
) -> None:
    """A server that accepts a connection and keeps silent is given up after the timeout."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        said = failure(tmp_path, server, make_parcel(), port=silent.getsockname()[1], timeout="1s")
    assert "cannot be reached on port" in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"password_file": ""}, "no way to log in"),
        ({"known_hosts": "nowhere"}, "ssh-keyscan"),
        ({"key_file": "password"}, "no private key in PEM"),
        ({"host": "sftp.example.no/inn"}, "is not a valid server name or address"),
        ({"timeout": "0s"}, "longer than zero"),
        ({"owner": "ola"}, "owner"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    tmp_path: Path, server: SftpServer, options: dict[str, str], words: str
) -> None:
    """A configuration that could never work is a fault that says what to write, and holds no
    secret."""
    with pytest.raises(ValidationError) as caught:
        settings(tmp_path, server, **options)
    assert words in str(caught.value)
    assert PASSWORD not in "".join(each["msg"] for each in caught.value.errors())
