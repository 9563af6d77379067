"""Which mount a path lies on, as /proc/self/mountinfo describes it for this process.

systemd's sandbox shows here too: `ProtectSystem` mounts parts of the system again, read-only, and
`ProtectHome` and `PrivateTmp` mount something else over a folder. Source of the format: proc(5).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
_OCTAL = re.compile(r"\\([0-7]{3})")
_FIELDS = 6  # before the optional ones


@dataclass(frozen=True, kw_only=True)
class Mount:
    """One mount."""

    place: Path
    root: str
    """Which folder of its file system is mounted."""
    kind: str
    """The type of its file system."""
    read_only: bool
    """Read-only at this place, for this process."""
    read_only_everywhere: bool
    """The file system itself is read-only."""
    options: frozenset[str] = frozenset()
    """The options of the file system itself, such as `hard`."""


def mount_of(path: Path, mounts: str | None = None) -> Mount | None:
    """Return the mount that holds `path`, a resolved path; None if it is not known.

    `mounts` is the text of /proc/self/mountinfo, which is read otherwise. A later mount hides an
    earlier one at the same place.
    """
    found: Mount | None = None
    for line in (_read() if mounts is None else mounts).splitlines():
        mount = _mount(line)
        if (
            mount
            and path.is_relative_to(mount.place)
            and (found is None or len(mount.place.parts) >= len(found.place.parts))
        ):
            found = mount
    return found


def _read() -> str:
    try:
        return MOUNTS.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _mount(line: str) -> Mount | None:
    before, _, after = line.partition(" - ")
    fields, more = before.split(" "), after.split(" ")
    if not after or len(fields) < _FIELDS:
        return None
    return Mount(
        place=Path(_OCTAL.sub(lambda octal: chr(int(octal[1], 8)), fields[4])),
        root=fields[3],
        kind=more[0],
        read_only="ro" in fields[5].split(","),
        read_only_everywhere="ro" in more[-1].split(","),
        options=frozenset(more[-1].split(",")),
    )
