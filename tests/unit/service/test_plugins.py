"""Connectors are found by the name of their type, and by nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from daemon.config import loader
from daemon.config.loader import Configuration
from daemon.service import plugins
from tests.unit.service.conftest import MAILBOXES, PLACES


@pytest.fixture
def configuration(memory_connectors: Path, configuration_file: Path) -> Configuration:
    """A configuration of the memory connectors."""
    found = loader.read(
        configuration_file, plugins.find_settings, plugins.connector_types()
    ).configuration
    assert found
    return found


def test_a_module_in_its_folder_is_a_type(memory_connectors: Path) -> None:
    """A connector is there because its file is, for its own kind only; and so a file that is put
    there is enough."""
    assert "memory" in plugins.connector_types()["mailbox"]
    (memory_connectors / "destinations" / "pigeon.py").write_text("")
    assert "pigeon" in plugins.connector_types()["destination"]
    assert "pigeon" not in plugins.connector_types()["mailbox"]


def test_settings_are_the_connectors_own(memory_connectors: Path) -> None:
    """The settings that are checked are those that the connector of this kind and type declares."""
    mailbox, destination = (
        plugins.find_settings("mailbox", "memory"),
        plugins.find_settings("destination", "memory"),
    )
    assert mailbox
    assert destination
    assert (set(mailbox.model_fields), set(destination.model_fields)) == (
        {
            "parties",
            "party_names",
            "poll_every",
            "poll_every_min",
            "poll_every_max",
            "mark_read",
            "confirm",
            "letters",
            "away",
        },
        {"away", "edition", "nodes"},
    )


@pytest.mark.parametrize("name", ["nothing", "", "memory.x", "..tls", "os", "__init__"])
def test_other_names_find_nothing(memory_connectors: Path, name: str) -> None:
    """A name that does not belong to a connector loads no module, whatever it looks like."""
    assert plugins.find_settings("mailbox", name) is None


def test_connecting(configuration: Configuration) -> None:
    """Each connector is made with its name and its settings: mailboxes in the configuration's
    order, destinations by name."""
    second = replace(configuration.mailboxes[0], name="second")
    both = replace(configuration, mailboxes=(*configuration.mailboxes, second))
    assert plugins.connect_mailboxes(both) == (MAILBOXES["altinn"], MAILBOXES["second"])
    assert [box.name for box in plugins.connect_mailboxes(both)] == ["altinn", "second"]
    assert plugins.connect_destinations(both) == {"erp": PLACES["erp"], "mail": PLACES["mail"]}
