"""The known SSH servers, from OpenSSH's known_hosts, and why a server is not trusted.

Source: sshd(8), SSH_KNOWN_HOSTS FILE FORMAT. A server that is not listed was forgotten; one that
shows another key than the listed one may be another machine. The errors keep the two cases apart
for the operator.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.core.settings import plain_text

if TYPE_CHECKING:
    import asyncssh

_REVOKED, _KEYS = (
    2,
    (0, 1, 3, 5),
)  # places in what the library's match returns: keys, authorities' keys, certificates, their names


def read_known_hosts(path: Path, host: str, port: int) -> asyncssh.SSHKnownHosts:
    """Return the file's entries.

    Raises ValueError, with a remedy for `host`, if there are none that can be read.
    """
    import asyncssh

    remedy = f"run: {scan(path, host, port)} and compare the key with what the server's owner says"
    try:
        known = asyncssh.import_known_hosts(plain_text(path.read_bytes(), path))
    except OSError as error:
        raise ValueError(
            f"known_hosts cannot be read: {path}: {(error.strerror or '').lower()}; {remedy}"
        ) from error
    except ValueError as error:
        reason = str(error).partition("; ")[0]
        raise ValueError(
            "known_hosts "
            f"{reason if str(path) in reason else f'cannot be read: {path}: {reason}'}; "
            f"{remedy}"
        ) from error
    # the library passes over what it cannot read
    if not (known._exact_entries or known._pattern_entries):  # noqa: SLF001
        raise ValueError(f"known_hosts holds no server's key: {path}; {remedy}")
    return known


def scan(path: Path, host: str, port: int) -> str:
    """Return the command that writes a server's key into the file."""
    return f"ssh-keyscan -p {port} {host} >> {path}"


class KnownHosts:
    """The entries for one connection; remembers what is known of the server it met."""

    def __init__(self, path: Path, host: str, port: int) -> None:
        """Raises ValueError as `read_known_hosts` does."""
        self._path, self._host, self._port = path, host, port
        self._known = read_known_hosts(path, host, port)
        self._found: Sequence[Sequence[Any]] = ()

    def __call__(self, host: str, addr: str, port: int | None) -> Any:
        """Return what is trusted and what is revoked.

        asyncssh calls this, with the port unless it is the default one. If nothing is known for the
        port, asyncssh uses what is known of the host, and forgets what is revoked for the port.
        """
        found = list(self._known.match(host, addr, port))
        bare = self._known.match(host, addr, None)
        found[_REVOKED] = [
            *found[_REVOKED],
            *bare[_REVOKED],
            *self._known._match(host, addr, port)[_REVOKED],  # noqa: SLF001
        ]
        self._found = found
        return tuple(found)

    @property
    def any_key(self) -> bool:
        """Whether a key of the server is known."""
        return any(self._found[place] for place in _KEYS if self._found)

    def why_not(self, reason: str) -> str:
        """Return why the server is not trusted, and a remedy; `reason` is asyncssh's."""
        server = f"the SFTP server {self._host}"
        if "revoked" in reason:
            return f"{server} shows a key that {self._path} calls revoked; ask its owner at once"
        if not self.any_key:
            how = (
                f"run: {scan(self._path, self._host, self._port)} and compare the key with what "
                "its owner says"
            )
            return (
                f"{server}, port {self._port}, is not in {self._path}, so it is not known whether "
                f"it is the right one; {how}"
            )
        danger = "either its key was changed, or another machine answers instead"
        return (
            f"{server} has another key than {self._path} says: {danger}; ask its owner, and "
            "correct the file only then"
        )
