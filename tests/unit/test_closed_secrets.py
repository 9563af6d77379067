"""The page reads the configuration of the service, and has none of its secrets."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from connectors.sandbox.sinks import soap
from daemon.config import loader
from daemon.config.loader import Configuration, Reading
from daemon.core.errors import ConfigurationError
from daemon.core.settings import Secret
from daemon.service import plugins, stack
from daemon.store import Store

CONFIG = Path(__file__).parents[2] / "config"
_OPTIONS = {
    "sftp": """
        type = "sftp"
        host = "sftp.example.no"
        username = "u"
        known_hosts = "known_hosts"
        key_file = "missing"
        """,
    "webhook": """
        type = "webhook"
        url = "https://h.example.no/"
        secret_file = "missing"
        headers = { "X-Key" = "missing" }
        client_cert_file = "missing.pem"
        client_key_file = "missing"
        """,
    "webhook with a key in its certificate": """
        type = "webhook"
        url = "https://h.example.no/"
        secret_file = "missing"
        client_cert_file = "missing.pem"
        """,
    "smtp": """
        type = "smtp"
        host = "h.example.no"
        sender = "a@example.no"
        recipients = ["b@example.no"]
        username = "u"
        password_file = "missing"
        """,
    "soap that signs": """
        type = "soap"
        wsdl = "https://h.example.no/?wsdl"
        operation = "O"
        input = {}
        authentication = "x509"
        signing_cert_file = "missing.pem"
        signing_key_file = "missing"
        client_cert_file = "missing.pem"
        client_key_file = "missing"
        """,
    "soap with a password": """
        type = "soap"
        wsdl = "https://h.example.no/?wsdl"
        operation = "O"
        address = "https://h.example.no/"
        input = {}
        authentication = "basic"
        username = "u"
        password_file = "missing"
        """,
}
_SMALL = """
[store]
database = "sqlite:///data/postmottak.db"
content = "content"

[routing]
file = "routing.toml"

[mailbox.m]
type = "folder"
path = "."
party = "974761076"

[destination.d]
"""
_TABLE = """
[[recipient]]
name = "post"
deliver_to = ["d"]

[[route]]
name = "everything"
to = ["post"]
"""


def read(folder: Path, text: str, *, open_secrets: bool) -> Reading:
    """What comes of reading this configuration, beside files that are no secrets."""
    key = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    (folder / "known_hosts").write_text(f"sftp.example.no {key}")
    shutil.copy(soap.WSDL, folder / "arkiv.wsdl")
    path = folder / "postmottak.toml"
    path.write_text(text, encoding="utf-8")
    types = plugins.connector_types()
    return loader.read(path, plugins.find_settings, types, open_secrets=open_secrets)


def secrets_in(configuration: Configuration) -> Iterator[Secret]:
    """The secrets of all sections."""
    connectors = (*configuration.mailboxes, *configuration.destinations)
    for settings in (*(each.settings for each in connectors), configuration.api):
        for name in type(settings).model_fields if settings else ():
            value = getattr(settings, name)
            yield from (value,) if isinstance(value, Secret) else ()


def test_every_connector_is_read_without_its_secrets(tmp_path: Path) -> None:
    """With every secret file missing, the whole example is read for the page, and every secret in
    it is closed; the service refuses it."""
    text = (CONFIG / "postmottak.example.toml").read_text(encoding="utf-8")
    reading = read(tmp_path, text, open_secrets=False)
    assert reading.faults == ()
    assert reading.configuration
    secrets = list(secrets_in(reading.configuration))
    assert {each.path.name for each in secrets} >= {
        "maskinporten.pem",
        "webhook.secret",
        "s3.secret",
        "api.token",
    }
    assert all(each.is_closed and not each.value for each in secrets)
    refused = {each.key for each in read(tmp_path, text, open_secrets=True).faults}
    assert refused >= {"api.token_file", "mailbox.altinn.key_file"}


@pytest.mark.parametrize("options", _OPTIONS.values(), ids=_OPTIONS)
def test_a_closed_secret_is_accepted_unseen(tmp_path: Path, options: str) -> None:
    """Options that the example leaves empty are accepted for the page without their files."""
    assert read(tmp_path, _SMALL + options, open_secrets=False).faults == ()
    assert read(tmp_path, _SMALL + options, open_secrets=True).faults


def test_other_faults_are_found(tmp_path: Path) -> None:
    """Whatever is no secret is checked for the page as for the service."""
    text = _SMALL + _OPTIONS["sftp"].replace("sftp.example.no", "no host")
    (fault,) = read(tmp_path, text, open_secrets=False).faults
    assert fault.key == "destination.d.host"


def test_the_page_takes_the_table_in_force(tmp_path: Path) -> None:
    """A faulty routing.toml does not stop the page, which shows the table that the service uses;
    without a service that ever ran there is only the file."""
    read(tmp_path, _SMALL + _OPTIONS["sftp"], open_secrets=False)
    (tmp_path / "routing.toml").write_text(_TABLE)
    before = stack.load_for_page(tmp_path / "postmottak.toml")
    assert before.table.text == _TABLE
    store = Store(before.configuration.store.database)
    assert stack.table_in_force(store, before.configuration).text == _TABLE
    store.letters.note_table(before.table.version, before.table.text, stack.utc_now())
    store.close()
    (tmp_path / "routing.toml").write_text(_TABLE + "nonsense")
    assert stack.load_for_page(tmp_path / "postmottak.toml").table.version == before.table.version
    shutil.rmtree(tmp_path / "data")
    with pytest.raises(ConfigurationError):
        stack.load_for_page(tmp_path / "postmottak.toml")
