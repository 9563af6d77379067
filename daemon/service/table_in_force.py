"""The routing table in force, used where the table's file has faults.

A faulty edit is ignored while the service runs; so it is at a start.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import structlog

from daemon.config import loader
from daemon.config.loader import Configuration
from daemon.config.store import StoreSettings
from daemon.core.errors import ConfigurationError
from daemon.routing.table import Table, parse_table
from daemon.service import plugins, stack
from daemon.service.stack import LoadedConfig
from daemon.service.store_access import store_exists

_log = structlog.get_logger(__name__)


def load_for_work(path: Path, before_store: Callable[[StoreSettings], None]) -> LoadedConfig:
    """Read the files as `stack.load` does, and take the table in force instead of a faulty file.

    `before_store` is called before the store is opened, and in any case before this returns. Raises
    ConfigurationError with every fault if the configuration has any, or if no table was ever in
    force that is valid with it; StoreError if the store cannot be read.
    """
    checked = load_or_in_force(path, before_store)
    for fault in checked.ignored:
        _log.error(
            "an edit is not in force; the previous routing table stays active", fault=str(fault)
        )
    return checked


def load_or_in_force(
    path: Path, before_store: Callable[[StoreSettings], None] = lambda _: None
) -> LoadedConfig:
    """Do the same, and log nothing."""
    try:
        checked = stack.load(path)
    except ConfigurationError as error:
        configuration = _sound_configuration(path)
        if configuration is None:
            raise
        before_store(configuration.store)
        table = _table_in_force(configuration)
        if table is None:
            raise
        return LoadedConfig(configuration=configuration, table=table, ignored=error.faults)
    before_store(checked.configuration.store)
    return checked


def _sound_configuration(path: Path) -> Configuration | None:
    """Return the configuration, if it has no faults itself."""
    reading = loader.read(path, plugins.find_settings, plugins.connector_types())
    return None if reading.faults else reading.configuration


def _table_in_force(configuration: Configuration) -> Table | None:
    """Return the table that was activated last, if it is valid with this configuration.

    Raises StoreError.
    """
    if not store_exists(configuration.store):
        return None
    store = stack.open_store(configuration)
    try:
        found = store.queries.table_in_force()
    finally:
        store.close()
    if found is None:
        return None
    names = [each.name for each in configuration.destinations]
    try:
        table = parse_table(found.text, f"table {found.version[:12]}", names)
    except ConfigurationError:
        return None
    return replace(table, warnings=())  # they are about the file
