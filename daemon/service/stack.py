"""What commands open: the configuration, the routing table and the store, each by itself.

Each is checked, and is opened without the service.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from daemon.config import loader
from daemon.config.loader import Configuration, Reading
from daemon.core.bookkeeping import CLOCK
from daemon.core.errors import ConfigurationError, Fault, NotFound, OperatorError, StoreError
from daemon.core.nodes import Duty
from daemon.core.times import norwegian_day
from daemon.intake.rerouting import Rerouter, Walked
from daemon.maintenance.housekeeping import Housekeeping
from daemon.maintenance.retention import Retention
from daemon.routing.table import Table, parse_table, read_table
from daemon.runtime import clock
from daemon.runtime.clock import DOUBTED, is_behind, is_far_ahead
from daemon.runtime.start_fault import note_start_fault
from daemon.service import plugins
from daemon.service.membership import having
from daemon.service.store_access import lock_of, refuse_hidden_store, store_exists
from daemon.store import Store
from daemon.store.content import ContentStore
from daemon.store.content_place import content_of

utc_now = clock.utc_now
"""Returns the time of this machine's clock."""


@dataclass(frozen=True, kw_only=True)
class LoadedConfig:
    """A configuration and a routing table, without faults."""

    configuration: Configuration
    table: Table
    ignored: tuple[Fault, ...] = ()
    """Faults of the table's file, where `table` is the one in force instead."""


def load(path: Path) -> LoadedConfig:
    """Read the configuration and the routing table.

    Raises ConfigurationError with every fault of both.
    """
    reading = loader.read(path, plugins.find_settings, plugins.connector_types())
    faults, table = list(reading.faults), None
    if reading.routing_file:
        try:
            table = read_table(
                reading.routing_file, reading.destination_names, today=norwegian_day(utc_now())
            )
        except ConfigurationError as error:
            faults.extend(error.faults)
    if faults or not (reading.configuration and table):
        raise ConfigurationError(faults)
    return LoadedConfig(configuration=reading.configuration, table=table)


def load_configuration(path: Path) -> Configuration:
    """Read the configuration without the routing table. Raises ConfigurationError.

    Faults in the routing table must not stop a command that changes nothing.
    """
    return _without_faults(loader.read(path, plugins.find_settings, plugins.connector_types()))


def _without_faults(reading: Reading) -> Configuration:
    if reading.configuration is None:
        raise ConfigurationError(reading.faults)
    return reading.configuration


def load_for_page(path: Path) -> LoadedConfig:
    """Read the configuration for the page, with its secrets closed, and the table in force.

    Raises ConfigurationError, and StoreError if the database exists and cannot be opened.
    """
    configuration = _without_faults(
        loader.read(path, plugins.find_settings, plugins.connector_types(), open_secrets=False)
    )
    if not store_exists(configuration.store):
        return LoadedConfig(configuration=configuration, table=read_routing(configuration))
    store = open_store(configuration)
    try:
        return LoadedConfig(configuration=configuration, table=table_in_force(store, configuration))
    finally:
        store.close()


def table_in_force(store: Store, configuration: Configuration) -> Table:
    """Return the routing table that the service activated last.

    Before its first start, return that of the file. Raises ConfigurationError.
    """
    found = store.queries.table_in_force()
    past = _past_table(store, found.version) if found else None
    return past or read_routing(configuration)


def note_why_not_started(path: Path, error: ConfigurationError) -> None:
    """Keep the first fault where `status` finds it, if the file names its store. Never raises."""
    with suppress(ConfigurationError):
        reading = loader.read(
            path, plugins.find_settings, plugins.connector_types(), open_secrets=False
        )
        first = error.faults[0]
        if reading.store:
            note_start_fault(reading.store.beside, f"{first.key}: {first.problem}; {first.remedy}")


def read_routing(configuration: Configuration) -> Table:
    """Read the routing table that the configuration names. Raises ConfigurationError."""
    names = [each.name for each in configuration.destinations]
    return read_table(configuration.routing.file, names, today=norwegian_day(utc_now()))


def open_store(configuration: Configuration) -> Store:
    """Open the database alone, to read it or for an operator's changes beside a running service.

    Raises StoreError, also if the database does not exist, because commands must not create one,
    and if only another user may see it.
    """
    settings = configuration.store
    refuse_hidden_store(settings)
    if not store_exists(settings):
        create = "`postmottak run` and `postmottak poll` create"
        raise StoreError(
            f"the database {settings.beside} does not exist; {create} it"
            if settings.is_file
            else f"the database {settings.database} has no tables; {create} them, or their owner "
            "does by `postmottak db upgrade --user NAME`"
        )
    return Store(settings.database, password=settings.password)


def open_content(configuration: Configuration, writer: str = "") -> ContentStore:
    """Open the attachments' bytes alone; half-written files begin with `writer`.

    Raises StoreError.
    """
    return content_of(configuration.store, writer)


def table_of(store: Store, version: str) -> Table:
    """Return a routing table that is or was active; its destinations may no longer exist.

    Raises NotFound.
    """
    found = store.queries.table(version)
    if found is None:
        raise NotFound(f"The routing table {version} is not in the database")
    return parse_table(found.text, f"table {version[:12]}", None)


def _past_table(store: Store, version: str) -> Table | None:
    try:
        return table_of(store, version)
    except OperatorError:
        return None


def retention(store: Store, configuration: Configuration, table: Table) -> Retention:
    """Return the active rules of retention."""
    return Retention(
        settings=configuration.retention,
        table=table,
        past=lambda version: _past_table(store, version),
    )


@contextmanager
def housekeeping(
    checked: LoadedConfig, *, alone: bool, trust_clock: bool = False
) -> Iterator[Housekeeping]:
    """Open housekeeping without the service, until the block ends.

    With `alone`, it has the store's lock and the duty, which a command that deletes needs; another
    node that has the duty is an OperatorError. With `trust_clock`, doubts of an earlier process
    about the clock are settled; without it, and with `alone`, a clock that may be wrong is an
    OperatorError. Raises StoreError if the store cannot be opened, or if another process is using
    it.
    """
    configuration = checked.configuration
    refuse_hidden_store(configuration.store)
    with ExitStack() as ends:
        if alone:
            ends.callback(lock_of(configuration.store).release)
        store = open_store(configuration)
        ends.callback(store.close)
        if alone:
            ends.enter_context(having(Duty.HOUSEKEEPING, store, configuration.store))
            _settle_clock(store, utc_now(), trust_clock=trust_clock)
        rules = retention(store, configuration, checked.table)
        yield Housekeeping(
            store=store, content=open_content(configuration), retention=lambda: rules, clock=utc_now
        )


def _settle_clock(store: Store, now: datetime, *, trust_clock: bool) -> None:
    """Check that the clock by which letters are deleted agrees with the store.

    With `trust_clock`, the operator vouches for it. Otherwise raises OperatorError if it may be
    wrong.
    """
    newest, doubt = store.stamps.newest(), f"{CLOCK} {DOUBTED}"
    noted = any(each.key == doubt and not each.ended_at for each in store.alerts.all())
    if trust_clock:
        store.stamps.put_right(now, now, now, certain=True)
        store.alerts.end(doubt, now)
    elif noted or is_behind(now, newest) or is_far_ahead(now, newest):
        last = (
            f"the last record is from {newest:%Y-%m-%d %H:%M} UTC"
            if newest
            else "nothing is stored"
        )
        raise OperatorError(
            f"This machine's clock says {now:%Y-%m-%d %H:%M} UTC, and {last}; nothing was "
            "deleted. Set the clock, or if it is right, use --trust-clock"
        )


def rerouter(store: Store, table: Table, walked: Walked = iter) -> Rerouter:
    """Return a rerouter that decides again about stored letters, with this table.

    `walked` passes on the letters of a long walk, and reports how far it is.
    """
    store.letters.note_table(table.version, table.text, utc_now())
    return previewer(store, table, walked)


def previewer(store: Store, table: Table, walked: Walked = iter) -> Rerouter:
    """Return what previews decisions with this table, which is not recorded as active."""
    return Rerouter(store=store, table=lambda: table, clock=utc_now, walked=walked)
