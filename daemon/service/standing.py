"""How the files stand: which routing table is in force, and what is wrong with an edit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from daemon.config import loader
from daemon.config.loader import Configuration
from daemon.core.errors import ConfigurationError, Fault
from daemon.service import plugins
from daemon.service.stack import read_routing
from daemon.store import Store


@dataclass(frozen=True, kw_only=True)
class Standing:
    """The state of the routing table."""

    file: Path
    version: str | None
    """The active one; None before the first start."""
    in_force_since: datetime | None
    state: str
    """in force: the file is active; edited: it differs from the active table; faulty: it has
    errors, and the previous table stays active."""
    faults: tuple[Fault, ...] = ()
    warnings: tuple[Fault, ...] = ()


def routing_standing(configuration: Configuration, store: Store) -> Standing:
    """Return the state of the routing table.

    Reads the file, and never fails because of it.
    """
    current = store.queries.table_in_force()
    version, since = (current.version, current.in_force_since) if current else (None, None)
    file = configuration.routing.file
    try:
        table = read_routing(configuration)
    except ConfigurationError as error:
        return Standing(
            file=file, version=version, in_force_since=since, state="faulty", faults=error.faults
        )
    state = "in force" if table.version == version else "edited"
    return Standing(
        file=file, version=version, in_force_since=since, state=state, warnings=table.warnings
    )


def configuration_faults(path: Path) -> tuple[Fault, ...]:
    """Return the faults of the configuration file as it is now, without looking into secrets."""
    try:
        return loader.read(
            path, plugins.find_settings, plugins.connector_types(), open_secrets=False
        ).faults
    except ConfigurationError as error:
        return error.faults
