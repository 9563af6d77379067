"""Finds a connector by the name of its type: `altinn3` is `connectors/mailboxes/altinn3.py`.

The only place where the service reaches for `connectors`, and it does so by name.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Collection
from types import ModuleType
from typing import cast

from daemon.config.loader import Configuration, ConnectorConfiguration, Kind
from daemon.core.ports import Destination, Mailbox
from daemon.core.settings import ConnectorSettings

_PACKAGES: dict[Kind, str] = {
    "mailbox": "connectors.mailboxes",
    "destination": "connectors.destinations",
}


def connector_types() -> dict[Kind, tuple[str, ...]]:
    """Return the types of mailbox and of destination that are installed."""
    return {kind: _modules_in(package) for kind, package in _PACKAGES.items()}


def _modules_in(package: str) -> tuple[str, ...]:
    found = importlib.util.find_spec(package)
    places = found.submodule_search_locations if found else None
    return tuple(sorted(module.name for module in pkgutil.iter_modules(places)))


def find_settings(kind: Kind, connector_type: str) -> type[ConnectorSettings] | None:
    """Return the settings that the connector declares, or None if it does not exist."""
    if connector_type not in connector_types()[kind]:
        return None
    return cast("type[ConnectorSettings]", _module(kind, connector_type).Settings)


def connect_mailboxes(configuration: Configuration) -> tuple[Mailbox, ...]:
    """Return the configuration's mailboxes, ready for use; no connection is made yet."""
    return tuple(connect_mailbox(each) for each in configuration.mailboxes)


def connect_mailbox(connector: ConnectorConfiguration) -> Mailbox:
    """Return one mailbox, ready for use; no connection is made yet."""
    return cast("Mailbox", _connect("mailbox", connector))


def connect_destinations(
    configuration: Configuration, exclude: Collection[str] = ()
) -> dict[str, Destination]:
    """Return the configuration's destinations by name, except those named in `exclude`.

    They are ready for use; no connection is made yet.
    """
    return {
        each.name: connect_destination(each)
        for each in configuration.destinations
        if each.name not in exclude
    }


def connect_destination(connector: ConnectorConfiguration) -> Destination:
    """Return one destination, ready for use; no connection is made yet."""
    return cast("Destination", _connect("destination", connector))


def _connect(kind: Kind, connector: ConnectorConfiguration) -> object:
    return _module(kind, connector.type).connect(connector.name, connector.settings)


def _module(kind: Kind, connector_type: str) -> ModuleType:
    return importlib.import_module(f"{_PACKAGES[kind]}.{connector_type}")


def sandbox(part: str) -> ModuleType:
    """Return a module of the sandbox, for the commands `demo` and `sandbox`."""
    return importlib.import_module(f"connectors.sandbox.{part}")


def first_steps() -> ModuleType:
    """Return the module with Altinn's part of `postmottak init`."""
    return importlib.import_module("connectors.altinn3.first_steps")


def keys() -> ModuleType:
    """The private keys for Maskinporten: files, ids, and how to make one."""
    return importlib.import_module("connectors.altinn3.keys")


def registration() -> ModuleType:
    """Where and how to register at Digdir and Altinn, for `postmottak init`."""
    return importlib.import_module("connectors.altinn3.registration")


def soap_description(source: str) -> str:
    """Return what a WSDL, a file or a web address, offers to the destination `soap`.

    Raises OperatorError.
    """
    return cast("str", importlib.import_module("connectors.soap.describe").describe(source))
