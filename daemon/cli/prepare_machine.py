"""Prepare the machine: folders for letters, and drop-ins for the units."""

from __future__ import annotations

import errno
import os
import pwd
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from daemon.core.durable_files import new_file
from daemon.core.errors import OperatorError
from daemon.core.unit_lines import shell
from daemon.runtime.owner import make_folder
from daemon.service.unit_needs import UnitNeeds

_USER = "postmottak"
_UNITS = (Path("/usr/lib/systemd/system"), Path("/lib/systemd/system"), Path("/etc/systemd/system"))
_UNIT = "postmottak.service"
DROP_IN = Path("/etc/systemd/system/postmottak.service.d/postmottak-init.conf")
PAGE_DROP_IN = Path("/etc/systemd/system/postmottak-web.service.d/postmottak-init.conf")
_HEADER = "# Written by `postmottak init`, which replaces it; put your own lines in another file.\n"
_FOLDER_MODE = 0o750


def possible() -> bool:
    """Whether root asks, and the package has made the service's user and its unit."""
    try:
        pwd.getpwnam(_USER)
    except KeyError:
        return False
    return os.geteuid() == 0 and any((each / _UNIT).exists() for each in _UNITS)


def prepare(needs: UnitNeeds) -> Iterator[str]:
    """Create missing folders, and write the drop-in; yield what was done. Raises OperatorError."""
    try:
        for folder in (*needs.drops, *needs.stores):
            yield _created(folder)
        yield from _drop_in(DROP_IN, _HEADER + needs.drop_in())
        if needs.page_drop_in() or PAGE_DROP_IN.exists():
            yield from _drop_in(PAGE_DROP_IN, _HEADER + (needs.page_drop_in() or "[Service]\n"))
    except OSError as error:
        raise OperatorError(
            f"{error.filename}: {(error.strerror or 'cannot be written').lower()}; fix that, "
            "and run "
            "the command again"
        ) from error


def _created(folder: Path) -> str:
    if folder.exists():
        return f"{folder} exists already; left unchanged"
    make_folder(folder, _FOLDER_MODE)
    _give_away(folder)
    return f"{folder} created, for the user {_USER}"


def _give_away(folder: Path) -> None:
    """Give the new folder to the service's user, and not what a link in its place leads to.

    Others may write to the folder above it. Raises OSError.
    """
    user = pwd.getpwnam(_USER)
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except NotADirectoryError as error:  # what Linux says of a link here
        raise OSError(error.errno, "is no longer the folder that was made", str(folder)) from error
    try:
        if os.listdir(descriptor):  # noqa: PTH208  # a Path has no descriptor
            raise OSError(errno.ENOTEMPTY, "is no longer the folder that was made", str(folder))
        os.fchown(descriptor, user.pw_uid, user.pw_gid)
        os.fchmod(descriptor, _FOLDER_MODE)
    finally:
        os.close(descriptor)


def _drop_in(path: Path, text: str) -> Iterator[str]:
    """Write the drop-in, unless it says the same already, or is not ours."""
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    if old and not old.startswith(_HEADER):
        yield f"{path} is not init's; left unchanged. It should say:\n\n{text}".rstrip()
        return
    if old == text:
        yield f"{path} is up to date"
        return
    make_folder(path.parent, 0o755)
    path.unlink(missing_ok=True)
    with new_file(path, 0o644) as file:
        file.write(text.encode())
    with suppress(OSError):
        subprocess.run(["systemctl", "daemon-reload"], check=False, capture_output=True)  # noqa: S607
    yield f"{path} written:\n\n{text}".rstrip()


def instruct(needs: UnitNeeds) -> Iterator[str]:
    """Say what to do by hand."""
    for folder in (*needs.drops, *needs.stores):
        if not folder.exists():
            yield f"install -d -o {_USER} -g {_USER} -m 0750 {shell(folder)}"
    yield f"With systemd, save this as\n{DROP_IN}:\n\n{needs.drop_in()}".rstrip()
    if lines := needs.page_drop_in():
        yield f"\nFor the page, save this as\n{PAGE_DROP_IN}:\n\n{lines}".rstrip()
