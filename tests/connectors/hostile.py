"""What a neighbour who may write to a folder can plant in it, and how to see that nothing outside
was touched."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

SECRET = b"noe som ingen skal se"
HUGE = 1 << 40


def a_pipe(place: Path, _outside: Path) -> None:
    os.mkfifo(place)


def a_socket(place: Path, _outside: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        here = Path.cwd()
        os.chdir(place.parent)  # a socket's path must be short
        try:
            bound.bind(place.name)
        finally:
            os.chdir(here)


def a_device(place: Path, _outside: Path) -> None:
    try:
        os.mknod(place, 0o666 | stat.S_IFCHR, os.makedev(1, 5))  # /dev/zero, which has no end
    except PermissionError:
        os.mkfifo(place)  # who is not root can plant no device


def a_link_to_a_folder(place: Path, outside: Path) -> None:
    place.symlink_to(outside / "folder")


def a_link_to_a_file(place: Path, outside: Path) -> None:
    place.symlink_to(outside / "secret")


def a_dangling_link(place: Path, outside: Path) -> None:
    place.symlink_to(outside / "nothing")


def a_hard_link(place: Path, outside: Path) -> None:
    place.hardlink_to(outside / "secret")


def a_folder(place: Path, _outside: Path) -> None:
    place.mkdir()
    (place / "file").write_bytes(b"of a neighbour")


def a_huge_file(place: Path, _outside: Path) -> None:
    place.touch()
    os.truncate(place, HUGE)


KINDS: dict[str, Callable[[Path, Path], None]] = {
    each.__name__: each
    for each in (
        a_pipe,
        a_socket,
        a_device,
        a_link_to_a_folder,
        a_link_to_a_file,
        a_dangling_link,
        a_hard_link,
        a_folder,
        a_huge_file,
    )
}
LINKS = ("a_link_to_a_folder", "a_link_to_a_file", "a_dangling_link")
NEITHER_FILE_NOR_FOLDER = ("a_pipe", "a_socket", "a_device", *LINKS)


def make_outside(folder: Path) -> Path:
    """A tree that is nobody's business."""
    outside = folder / "outside"
    (outside / "folder").mkdir(parents=True)
    (outside / "secret").write_bytes(SECRET)
    (outside / "folder" / "file").write_bytes(b"of somebody else")
    (outside / "secret").chmod(0o604)
    (outside / "folder").chmod(0o707)
    return outside


def picture(tree: Path) -> dict[str, object]:
    """Everything about a tree that using it would change."""
    return {str(each): _facts(each) for each in (tree, *sorted(tree.rglob("*")))}


def _facts(place: Path) -> tuple[object, ...]:
    found = place.lstat()
    data = place.read_bytes() if stat.S_ISREG(found.st_mode) else b""
    return found.st_ino, found.st_mode, found.st_uid, found.st_gid, found.st_mtime_ns, data
