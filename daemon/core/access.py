"""Why this process may not use a file or a folder, and what to run so that it may.

A path that systemd's sandbox closes, a right that is missing, and a path that does not exist look
alike in an error, and have different remedies.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
from pathlib import Path

from daemon.core.mounts import Mount, mount_of
from daemon.core.unit_lines import load_credential, read_write_path, shell

_DENIED = frozenset({errno.EACCES, errno.EPERM})
_EDIT = "run `systemctl edit postmottak` and write, under [Service],"
_NO_FOLDER = frozenset({errno.ENOENT})


def user() -> str:
    """Return the name of the user that this process runs as; the number of one without a name."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _group() -> str:
    try:
        return grp.getgrgid(os.getegid()).gr_name
    except KeyError:
        return str(os.getegid())


def why_not_written(path: Path, error: int) -> str:
    """Return why nothing can be written to a folder or a file, with the remedy after `; `.

    The text ends a sentence that begins with the path. `error` is the number of the OSError; the
    text is empty for one of another kind.
    """
    if error == errno.EROFS:
        return _read_only(path)
    if error in _NO_FOLDER:
        return _missing(path)
    if error not in _DENIED:
        return ""
    if hidden := _unreachable(path):
        return hidden
    if _may(path, os.W_OK | (os.X_OK if path.is_dir() else 0)):
        return f"has something in it that {user()} may not change; look with: ls -la {shell(path)}"
    return f"may not be written by {user()}; run: {_let_write(path)}"


def why_not_read(path: Path, error: int) -> str:
    """Return the same for a file that cannot be read."""
    if error not in _DENIED:
        return ""
    return _unreachable(path) or f"may not be read by {user()}; run: {_let_read(path)}"


def why_no_secret(path: Path, error: int) -> str:
    """Return the same for a secret, which systemd can also pass to the service as a credential."""
    reason, _, remedy = why_not_read(path, error).partition("; ")
    if not reason:
        return ""
    line = load_credential(path.name, path)
    return f"{reason}; pass it to the service ({_EDIT} {line}), or {remedy}"


def _read_only(path: Path) -> str:
    mount = _mount(path)
    if mount and mount.read_only and not mount.read_only_everywhere:
        return (
            "is closed to the service by ProtectSystem, though its file system is writable; "
            "if it was created after the service's start, run: systemctl restart postmottak; "
            f"otherwise {_EDIT} {read_write_path(path)}"
        )
    return "is read-only; mount it for writing"


def _missing(path: Path) -> str:
    mount = _mount(path)
    if mount and _own_tmp(mount):
        return (
            f"does not exist in the service's own {mount.place} (PrivateTmp); use a folder "
            "elsewhere"
        )
    return (
        "does not exist; create the folder, or mount the share (to create it: install -d -o "
        f"{user()} -g {_group()} {shell(path)})"
    )


def _own_tmp(mount: Mount) -> bool:
    return "/systemd-private-" in mount.root and mount.place in {Path("/tmp"), Path("/var/tmp")}  # noqa: S108


def _unreachable(path: Path) -> str:
    barrier = _barrier(path)
    if barrier is None:
        return ""
    mount = _mount(barrier)
    if mount and mount.place == barrier and mount.root.startswith("/systemd/inaccessible"):
        return (
            f"is hidden from the service, which may not see {barrier} (ProtectHome); use a folder "
            f"elsewhere, or {_EDIT} ProtectHome=no"
        )
    return (
        f"cannot be reached by {user()}, who may not enter {barrier}; "
        f"run: chmod o+x {shell(barrier)}"
    )


def _barrier(path: Path) -> Path | None:
    """Return the topmost folder above `path` that this process may not enter."""
    above = reversed(path.absolute().parents)
    return next((each for each in above if not _may(each, os.X_OK)), None)


def _let_write(path: Path) -> str:
    """Return the command that lets this user write there.

    What belongs to root is given away; what belongs to someone else is opened to the group.
    """
    try:
        owner = path.stat().st_uid
    except OSError:
        owner = 0
    if owner in {0, os.geteuid()}:
        return f"chown {user()} {shell(path)} && chmod u+rwX {shell(path)}"
    return f"chgrp {_group()} {shell(path)} && chmod g+rwX {shell(path)}"


def _let_read(path: Path) -> str:
    return f"chgrp {_group()} {shell(path)} && chmod g+r {shell(path)}"


def _may(path: Path, right: int) -> bool:
    return os.access(path, right, effective_ids=True)


def _mount(path: Path) -> Mount | None:
    try:
        return mount_of(path.resolve())
    except OSError:  # a part of it may not be entered
        return mount_of(path.absolute())
