"""The example files are the operator's manual: they must say what the code does."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from connectors.altinn3 import settings as altinn3_settings
from connectors.sandbox.sinks import soap
from daemon.config.endpoints import ApiSettings, EventsSettings, MonitoringSettings
from daemon.config.journal import JournalSettings
from daemon.config.loader import (
    AlertSettings,
    DeliverySettings,
    RetentionSettings,
    RoutingSettings,
)
from daemon.config.store import BucketSettings, StoreSettings
from daemon.config.web import OidcSettings, ProxySettings, WebSettings
from daemon.core.network import ProxyOptions
from daemon.service import plugins, stack

CONFIG = Path(__file__).parents[2] / "config"
EXAMPLE = tomllib.loads((CONFIG / "postmottak.example.toml").read_text(encoding="utf-8"))
SECTIONS: dict[str, tuple[dict[str, Any], type[BaseModel]]] = {
    "store": (EXAMPLE["store"], StoreSettings),
    "store.s3": (EXAMPLE["store"]["s3"], BucketSettings),
    "network": (EXAMPLE["network"], ProxyOptions),
    "delivery": (EXAMPLE["delivery"], DeliverySettings),
    "retention": (EXAMPLE["retention"], RetentionSettings),
    "routing": (EXAMPLE["routing"], RoutingSettings),
    "alerts": (EXAMPLE["alerts"], AlertSettings),
    "journal": (EXAMPLE["journal"], JournalSettings),
    "monitoring": (EXAMPLE["monitoring"], MonitoringSettings),
    "events": (EXAMPLE["events"], EventsSettings),
    "api": (EXAMPLE["api"], ApiSettings),
    "web": (EXAMPLE["web"], WebSettings),
    "web.oidc": (EXAMPLE["web"]["oidc"], OidcSettings),
    "web.proxy": (EXAMPLE["web"]["proxy"], ProxySettings),
}
for _kind in ("mailbox", "destination"):
    for _name, _table in EXAMPLE[_kind].items():
        _settings = plugins.find_settings(_kind, _table["type"])
        assert _settings
        SECTIONS[f"{_kind}.{_name}"] = (
            {key: value for key, value in _table.items() if key != "type"},
            _settings,
        )


@pytest.mark.parametrize("section", SECTIONS)
def test_every_option_stands_in_the_example(section: str) -> None:
    """The example has every option of the code, and no other."""
    values, model = SECTIONS[section]
    assert set(values) == set(model.model_fields)


def test_the_example_is_in_order_and_shows_the_defaults(tmp_path: Path) -> None:
    """With the files that it names, the example passes the check; and what is a default there is
    the code's."""
    text = (CONFIG / "postmottak.example.toml").read_text(encoding="utf-8")
    (tmp_path / "postmottak.toml").write_text(text, encoding="utf-8")
    (tmp_path / "routing.toml").write_text(
        (CONFIG / "routing.example.toml").read_text(encoding="utf-8"), encoding="utf-8"
    )
    _write_secrets(tmp_path)
    checked = stack.load(tmp_path / "postmottak.toml")
    connectors = [*checked.configuration.mailboxes, *checked.configuration.destinations]
    shown = [
        checked.configuration.delivery,
        checked.configuration.retention,
        checked.configuration.alerts,
        *(each.settings for each in connectors),
    ]
    examples = {
        "environment",
        "username",
        "recipients",
        "maskinporten_url",
        "platform_url",
        "port",
        "security",
        "password_file",
        "proxy",
        "poll_every_min",
        "poll_every_max",
    }
    for settings in shown:
        for name, field in type(settings).model_fields.items():
            default = field.get_default(call_default_factory=True)
            if default is not PydanticUndefined and name not in examples:
                assert getattr(settings, name) == default, name


def test_the_addresses_follow_from_the_environment() -> None:
    """The example's two addresses are those of the environment that it names."""
    section = EXAMPLE["mailbox"]["altinn"]
    addresses = {key: section[key] for key in ("maskinporten_url", "platform_url")}
    assert altinn3_settings.ADDRESSES[section["environment"]] == addresses


def test_the_lines_that_are_enough_are(tmp_path: Path) -> None:
    """With the two files as README shows them, and a number and a key filled in, nothing is
    missing."""
    readme = (CONFIG.parent / "README.md").read_text(encoding="utf-8")
    configuration, table = re.findall(r"^ *```toml\n(.*?)^ *```$", readme, re.MULTILINE | re.DOTALL)
    (tmp_path / "postmottak.toml").write_text(
        configuration.replace("your organisation number", "974761076")
    )
    (tmp_path / "routing.toml").write_text(table)
    _write_secrets(tmp_path)
    assert [
        each.name for each in stack.load(tmp_path / "postmottak.toml").configuration.destinations
    ] == ["erp"]


def test_every_type_of_connector_has_its_section() -> None:
    """Nobody must read the code to find out that a connector exists; `folder` is for tests and
    imports."""
    for kind, types in plugins.connector_types().items():
        assert {table["type"] for table in EXAMPLE[kind].values()} == set(types) - {"folder"}


def _write_secrets(folder: Path) -> None:
    from connectors.sandbox.altinn3.access import ready_client

    (folder / "maskinporten.pem").write_text(ready_client("991825827").private_key)
    (folder / "api.token").write_text("not a secret")
    (folder / "events.secret").write_text("not_a_secret_but_long_enough_for_one")
    altinn2 = (
        "altinn2-system-password",
        "altinn2-user-ssn",
        "altinn2-user-password",
        "altinn2-user-pin",
    )
    for name in ("sftp.password", "smb.password", "s3.secret", "proxy.password", *altinn2):
        (folder / name).write_text("not a secret")
    key = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    (folder / "known_hosts").write_text(f"sftp.example.no {key}")
    (folder / "smtp.password").write_text("not a secret")
    shutil.copy(soap.WSDL, folder / "arkiv.wsdl")
    (folder / "webhook.secret").write_text("whsec_cG9zdG1vdHRhayBzYW5kYm94IHNlY3JldA==")
