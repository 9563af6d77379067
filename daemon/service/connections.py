"""The destinations that a configuration names, and the worker process for those on this machine."""

from __future__ import annotations

from collections.abc import Collection
from typing import cast

from daemon.config.loader import Configuration, ConnectorConfiguration
from daemon.core.ports import Destination, LocalDestination
from daemon.delivery.worker.proxy import RemoteDestination
from daemon.delivery.worker.worker_client import WorkerClient
from daemon.runtime.process import freeze_gc, pin_to_one_core
from daemon.service import plugins
from daemon.service.stack import open_content


def connect_destinations(
    configuration: Configuration, worker: WorkerClient | None, exclude: Collection[str] = ()
) -> dict[str, Destination]:
    """Connect the destinations, except those named in `exclude`.

    With a `worker`, it does the deliveries to destinations on this machine.
    """
    connected = plugins.connect_destinations(configuration, exclude)
    if worker:
        for each in configuration.destinations:
            destination = connected.get(each.name)
            if isinstance(destination, LocalDestination):
                connected[each.name] = RemoteDestination(destination, each, worker)
    return connected


def start_worker(configuration: Configuration) -> WorkerClient:
    """Start the worker process.

    Call this with the store's lock held, and before anything is opened that a second process must
    not have.
    """
    # so that both processes keep sharing memory: the garbage collector writes into what it visits
    freeze_gc()
    return WorkerClient(open_content(configuration), _connect_local, pin_to_one_core())


def _connect_local(connector: ConnectorConfiguration) -> LocalDestination:
    return cast("LocalDestination", plugins.connect_destination(connector))
