"""The file drop: letters in a folder of this machine, or on a share that is mounted here."""

from __future__ import annotations

import grp
import pwd
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from connectors.drops.destination import DropDestination
from connectors.drops.local import LocalDrop
from connectors.drops.ownership import Access
from connectors.drops.settings import DropSettings, Mode
from daemon.core.batch_sync import BatchSync
from daemon.core.ports import Destination
from daemon.core.settings import FilePath


def _number(find: Callable[[str], int], name: str) -> int | None:
    """Return the number of an owner or a group; None for none. Raises ValueError."""
    if not name or name.isdecimal():
        return int(name) if name else None
    try:
        return find(name)
    except KeyError as error:
        raise ValueError(
            f"does not exist on this machine: {name!r}; write a name or number that does"
        ) from error


def _owner(name: str) -> str:
    _number(_find_owner, name)
    return name


def _group(name: str) -> str:
    _number(_find_group, name)
    return name


def _find_owner(name: str) -> int:
    return pwd.getpwnam(name).pw_uid


def _find_group(name: str) -> int:
    return grp.getgrnam(name).gr_gid


class Settings(DropSettings):
    """`[destination.NAME]` with `type = "filedrop"`."""

    path: FilePath
    """An existing folder. Each delivery checks that it exists, because it may be on a share that
    comes and goes.
    """
    mode: Mode = "0640"
    owner: Annotated[str, AfterValidator(_owner)] = ""
    group: Annotated[str, AfterValidator(_group)] = ""

    @property
    def place(self) -> str:
        """The folder."""
        return str(self.path)

    @property
    def access(self) -> Access:
        """The owner, group and mode that the files get."""
        return Access(
            mode=int(self.mode, 8),
            mode_is_asked_for="mode" in self.model_fields_set,
            owner=_number(_find_owner, self.owner),
            group=_number(_find_group, self.group),
        )


class FileDrop(DropDestination):
    """A drop on the local disk."""

    concurrency = 128
    """The more deliveries share a sync, the fewer waits for the disk and commits they need."""

    def __init__(self, name: str, settings: Settings) -> None:
        batch_sync = BatchSync()
        super().__init__(
            name,
            settings,
            lambda: closing(LocalDrop(settings.path, settings.access, batch_sync)),
        )
        self._path = settings.path

    @property
    def pickup_folder(self) -> Path | None:
        """The drop's folder, in every layout, if pickups are awaited."""
        return self._path if self.await_pickup is not None else None


def connect(name: str, settings: Settings) -> Destination:
    """Return a file drop in the folder `settings.path`."""
    return FileDrop(name, settings)
