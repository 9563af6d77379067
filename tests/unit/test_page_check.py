"""`check` finds what would keep the page from starting, and says what to do about it."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import trustme

from benchmarks.loopback import free_port
from daemon.config.store import StoreSettings
from daemon.config.web import WebSettings
from daemon.core.ports import Finding
from daemon.service import page_check
from daemon.service.page_check import check_approvals, check_page, check_publishing
from daemon.store import Actor, RoleGrant, Store
from tests.unit.conftest import NOW, ROOT

OIDC = {"issuer": "https://login.example.no", "client_id": "x"}


def found(**values: Any) -> Mapping[str, Finding]:
    """What is found, by what it is about; the last one of each."""
    listen = values.pop("listen", "127.0.0.1:0")
    settings = WebSettings.model_validate({"listen": listen} | values)
    return {each.subject: each for each in check_page(settings)}


@pytest.fixture
def listen() -> str:
    """A free address."""
    return f"127.0.0.1:{free_port()}"


def test_a_page_that_can_start(listen: str, tmp_path: Path) -> None:
    """Nothing is wrong with an address that is free, a certificate with its key, and secrets that
    are there; log-ins that are not used need none."""
    issued = trustme.CA().issue_cert("post.example.no")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    (tmp_path / "oidc.secret").write_text("not a secret")
    all_ = found(
        listen=listen,
        login=["local", "oidc"],
        tls_cert_file=tmp_path / "cert.pem",
        tls_key_file=tmp_path / "key.pem",
        oidc=OIDC | {"client_secret_file": tmp_path / "oidc.secret"},
        proxy={"secret_file": tmp_path / "missing"},
    )
    assert all(each.ok for each in all_.values()), all_
    assert set(all_) == {"[web]", "[web] tls_cert_file", "[web.oidc] client_secret_file"}


def test_an_address_that_is_taken(listen: str) -> None:
    """What listens already may be the page itself."""
    host, _, port = listen.partition(":")
    with socket.create_server((host, int(port))):
        text = found(listen=listen)["[web]"].text
    assert text.endswith("if the page is not running, it is another program")
    assert not found(listen="unix:/nowhere/at/all.sock")["[web]"].ok
    made = found(listen="unix:/run/postmottak-web/page.sock")["[web]"]
    assert made.ok
    assert "the unit postmottak-web makes it" in made.text


def test_certificates_that_cannot_be_used(listen: str, tmp_path: Path) -> None:
    """A file that is missing, a key of another certificate, and what is no PEM are told apart."""
    authority = trustme.CA()
    for name in ("one", "other"):
        issued = authority.issue_cert(f"{name}.example.no")
        issued.private_key_pem.write_to_path(tmp_path / f"{name}.key")
        issued.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.pem")
    (tmp_path / "text").write_text("nothing")
    for certificate, key, expected in (
        ("one.pem", "missing", "no such file or directory; create the file"),
        ("one.pem", "other.key", "do not belong together; name the key"),
        ("text", "one.key", "cannot be used; both must be PEM"),
    ):
        files = {"tls_cert_file": tmp_path / certificate, "tls_key_file": tmp_path / key}
        finding = found(listen=listen, **files)["[web] tls_cert_file"]
        assert not finding.ok
        assert expected in finding.text


@pytest.mark.parametrize(
    ("content", "expected"), [(None, "no such file"), (b" \n", "is empty"), (b"\xff", "UTF-8")]
)
def test_secrets_that_cannot_be_read(
    listen: str, tmp_path: Path, content: bytes | None, expected: str
) -> None:
    """A secret of a log-in that is used must be there, and say something."""
    path = tmp_path / "proxy.secret"
    if content is not None:
        path.write_bytes(content)
    finding = found(
        listen=listen,
        login=["proxy"],
        trusted_proxies=["10.0.0.5"],
        proxy={"secret_file": path},
    )["[web.proxy] secret_file"]
    assert not finding.ok
    assert expected in finding.text


def test_a_provider_needs_to_know_where_browsers_come_back(tmp_path: Path) -> None:
    """Behind a proxy the page does not know its own address, so a log-in by a provider needs it."""
    oidc = {"issuer": "https://id.example.no", "client_id": "x", "client_secret_file": "secret"}
    web = {"login": ["oidc"], "oidc": oidc, "trusted_proxies": ["127.0.0.1"]}
    with pytest.raises(ValueError, match="no public_url, to which the provider sends"):
        WebSettings.model_validate(web)
    WebSettings.model_validate({**web, "public_url": "https://post.example.no"})
    WebSettings.model_validate({**web, "trusted_proxies": []})


def test_libraries_that_are_missing(listen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, its name is said."""
    monkeypatch.setattr(page_check, "_LIBRARIES", ("jinja2", "no_such_library"))
    first = next(iter(check_page(WebSettings.model_validate({"listen": listen}))))
    assert not first.ok
    assert first.text.startswith("The page needs the extra postmottak[web]")
    assert "missing: no_such_library;" in first.text


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A routing table of this user in a folder of its own."""
    folder = tmp_path / "routing"
    folder.mkdir()
    (folder / "routing.toml").write_text("")
    return folder / "routing.toml"


def test_a_table_that_can_be_published(table: Path) -> None:
    """Nothing is warned of where the file can be replaced, also through a link."""
    (table.parent.parent / "link.toml").symlink_to(table)
    for path in (table, table.parent.parent / "link.toml"):
        finding = check_publishing(path)
        assert (finding.ok, finding.warning) == (True, False)


def test_a_table_that_cannot_be_published(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever owns or closes it is said, with the commands that help; it is no failure."""
    table.chmod(0o444)
    assert _warned(table).startswith(f"{table} cannot be published from the page, because it is r")
    table.chmod(0o644)
    monkeypatch.setattr("os.geteuid", lambda: 4711)
    text = _warned(table)
    assert "it does not belong to the user 4711, as which the page runs" in text
    assert f"chown 4711: {table.parent} {table}" in text
    assert f"ReadWritePaths={table.parent}" in text
    monkeypatch.setattr("os.geteuid", lambda: table.stat().st_uid)
    monkeypatch.setattr("os.access", lambda *_: False)
    assert f"may not write in {table.parent}" in _warned(table)


def test_a_table_that_the_unit_closes(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under a read-only /etc, only the folder that the page's unit opens is writable."""
    closed = os.statvfs_result((1, 1, 1, 1, 1, 1, 1, 1, os.ST_RDONLY, 255))
    monkeypatch.setattr("os.statvfs", lambda _: closed)
    monkeypatch.setattr(page_check, "_UNIT_WRITES", table.parent / "routing")
    text = _warned(table)
    assert f"{table.parent} is read only here" in text
    assert f"move it to {table.parent / 'routing'}, name it there in [routing] file" in text
    monkeypatch.setattr(page_check, "_UNIT_WRITES", table.parent)
    assert not check_publishing(table).warning


def test_the_folder_of_the_unit_is_the_packaged_one() -> None:
    """What `check` takes for writable is what the unit opens."""
    unit = (ROOT / "systemd/postmottak-web.service").read_text()
    assert f"ReadWritePaths=-{page_check._UNIT_WRITES}\n" in unit


def _warned(table: Path) -> str:
    finding = check_publishing(table)
    assert (finding.subject, finding.ok, finding.warning) == ("[web] publishing", True, True)
    return finding.text


@pytest.mark.parametrize("is_open", [True, False])
def test_nobody_could_approve(tmp_path: Path, *, is_open: bool) -> None:
    """Until two users who are not disabled may publish, it is a warning that names the one; without
    a database nothing is said, and none is made."""
    path, us = tmp_path / "postmottak #1.db", Actor(name="root")
    assert not list(check_approvals(_settings(path)))
    assert not list(tmp_path.iterdir())
    seen = []
    for name, role in (("", ""), ("kari", "router"), ("per", "reader"), ("ola", "router")):
        store = Store(f"sqlite:///{path}")
        if name:
            store.users.add(name, NOW, us, grants=[RoleGrant(role=role)])
        seen.append(_looked(store, path, is_open=is_open))
    assert [[each.text.split(",")[0] for each in found] for found in seen] == [
        ["no user may publish"],
        ["only kari may publish"],
        ["only kari may publish"],
        [],
    ]
    assert all(each.warning and each.ok for found in seen for each in found)
    store = Store(f"sqlite:///{path}")
    store.users.disable("kari", NOW, us)
    assert "only ola" in _looked(store, path, is_open=is_open)[0].text


def _settings(path: Path) -> StoreSettings:
    return StoreSettings(database=f"sqlite:///{path}", content=path.parent / "content")


def _looked(store: Store, path: Path, *, is_open: bool) -> list[Finding]:
    """What is found while the service has the database open, or after it has ended."""
    if not is_open:
        store.close()
    before = {each.name for each in path.parent.iterdir()}
    found = list(check_approvals(_settings(path)))
    assert {each.name for each in path.parent.iterdir()} == before
    if is_open:
        store.close()
    return found
