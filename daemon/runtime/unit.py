"""The service's systemd unit, as it is installed here: its user, its sandbox, its credentials.

A command can be run with all of these, which shows what the service can do and what it cannot.
Sources: systemd.exec(5), systemd-run(1), systemctl(1).
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

UNIT = "postmottak.service"
_RUNNING = Path("/run/systemd/system")
"""Exists where systemd is the system's manager: sd_booted(3)."""
_SANDBOX = re.compile(
    r"User|Group|SupplementaryGroups|DynamicUser|UMask|Environment(File)?|PassEnvironment|"
    r"(State|Cache|Logs|Configuration)Directory(Mode)?|WorkingDirectory|Root(Directory|Image)|"
    r"(Load|Set|Import)Credential(Encrypted)?|(ReadWrite|ReadOnly|Inaccessible|Exec|NoExec)Paths|"
    r"Bind(ReadOnly)?Paths|TemporaryFileSystem|(Protect|Private|Restrict)\w+|ProcSubset|"
    r"CapabilityBoundingSet|AmbientCapabilities|NoNewPrivileges|LockPersonality|"
    r"MemoryDenyWriteExecute|SystemCall(Architectures|Filter|ErrorNumber)|DeviceAllow|DevicePolicy|"
    r"IPAddress(Allow|Deny)|SocketBind(Allow|Deny)|MemoryMax|TasksMax|Limit(NOFILE|CORE)"
)
"""What decides what the service may do, and not when it is started or stopped."""
_TIMEOUT = 20  # seconds


@dataclass(frozen=True, kw_only=True)
class SystemdUnit:
    """What the unit's file and its drop-ins say under `[Service]`."""

    settings: tuple[tuple[str, str], ...]
    """Names and values, in their order; an empty value clears the ones before it."""
    stale: bool = False
    """A file was edited, and systemd has not read it again."""

    def values(self, name: str) -> list[str]:
        """Return the values of a directive that are in force, in their order."""
        found: list[str] = []
        for each, value in self.settings:
            if each == name:
                found = [*found, value] if value else []
        return found

    @property
    def user(self) -> str:
        """The user that the service runs as."""
        return (self.values("User") or ["root"])[-1]

    @property
    def program(self) -> list[str]:
        """The service's command and its options, without `run`."""
        words = shlex.split((self.values("ExecStart") or [""])[-1].lstrip("-@:+!"))
        return words[:-1] if words[-1:] == ["run"] else words

    @property
    def credentials(self) -> dict[str, Path]:
        """The credentials that are files, by their names."""
        named = (_plain(value).partition(":") for value in self.values("LoadCredential"))
        return {name: Path(path) for name, _, path in named if path.startswith("/")}

    @property
    def writable(self) -> list[Path]:
        """The folders of `ReadWritePaths=` that must exist for the service to start."""
        values = map(_plain, self.values("ReadWritePaths"))
        words = (word for value in values for word in shlex.split(value))
        return [Path(word.lstrip("+")) for word in words if not word.startswith("-")]

    def command(self, arguments: Sequence[str]) -> list[str]:
        """Return the command that runs the service's program with `arguments`, as the service.

        What would only keep it from starting, a credential or a folder that does not exist, is left
        out. The folder of the service's sockets is kept, because the service may be using it.
        """
        words = ["systemd-run", "--quiet", "--wait", "--pipe", "--collect"]
        for name, value in self.settings:
            if _SANDBOX.fullmatch(name) and not self._is_missing_credential(name, value):
                plain = _plain(value)
                words += ["--property", f"{name}={_lenient(plain) if 'Paths' in name else plain}"]
        if sockets := self.values("RuntimeDirectory"):
            words += [
                "--property",
                f"RuntimeDirectory={sockets[-1]}",
                "--property",
                "RuntimeDirectoryPreserve=yes",
            ]
        return [*words, "--", *self.program, *arguments]

    def _is_missing_credential(self, name: str, value: str) -> bool:
        path = self.credentials.get(_plain(value).partition(":")[0])
        return name == "LoadCredential" and path is not None and not path.exists()


def _plain(value: str) -> str:
    """Return the value with a percent sign as such; systemd-run takes no specifiers."""
    return value.replace("%%", "%")


def _lenient(paths: str) -> str:
    """Return the paths, each with the `-` that makes systemd ignore one that does not exist."""
    return " ".join(
        shlex.quote(each if each.startswith("-") else f"-{each}") for each in shlex.split(paths)
    )


def installed_unit() -> SystemdUnit | None:
    """Return the unit; None where systemd does not run, or does not know it."""
    if not _RUNNING.is_dir():
        return None
    text = _asked("cat", UNIT)
    if not text:
        return None
    stale = _asked("show", "--value", "--property=NeedDaemonReload", UNIT).strip() == "yes"
    return parse(text, stale=stale)


def _asked(*words: str) -> str:
    try:
        ended = subprocess.run(  # noqa: S603
            ["systemctl", "--no-pager", *words],  # noqa: S607
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ended.stdout if ended.returncode == 0 else ""


def parse(text: str, *, stale: bool = False) -> SystemdUnit:
    """Return the unit from its file and its drop-ins, one after the other."""
    section = ""
    settings: list[tuple[str, str]] = []
    for line in re.sub(r"\\\n", " ", text).splitlines():
        each = line.strip()
        if each.startswith(("#", ";")):
            continue
        if each.startswith("["):
            section = each
        elif section == "[Service]" and "=" in each:
            name, _, value = each.partition("=")
            settings.append((name.strip(), value.strip()))
    return SystemdUnit(settings=tuple(settings), stale=stale)
