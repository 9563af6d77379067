"""Lines of a systemd unit that name paths, and commands that do, as they must be quoted.

Sources: systemd.unit(5), "Specifiers"; systemd.syntax(7), "Quoting".
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

_PLAIN = re.compile(r"[^\s\"'\\]+")


def read_write_path(path: Path, *, required: bool = False) -> str:
    """Return the line that opens a folder.

    Without the folder, the service starts all the same, unless it is `required`.
    """
    word = str(path) if required else f"-{path}"
    if not _PLAIN.fullmatch(word):
        escaped = word.replace("\\", "\\\\").replace('"', '\\"')
        word = f'"{escaped}"'
    return f"ReadWritePaths={_literal(word)}"


def load_credential(name: str, path: Path) -> str:
    """Return the line that passes a file on; what follows the colon is taken as it is."""
    escaped = name.replace("\\", "\\\\")
    return f"LoadCredential={_literal(escaped)}:{_literal(str(path))}"


def _literal(text: str) -> str:
    return text.replace("%", "%%")


def shell(path: Path) -> str:
    """Return the path as one word of a shell's command."""
    return shlex.quote(str(path))
