"""The address an endpoint listens on: a host and a port, or a Unix socket."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, ValidationInfo

from daemon.core.settings import at_home, base_folder

_UNIX = "unix:"
# bytes; Linux allows 107, and a socket is created under a longer, temporary name
_LONGEST_PATH = 100
_LARGEST_PORT = 65535
_HOST_AND_PORT = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):([0-9]{1,5})")


@dataclass(frozen=True, kw_only=True)
class Address:
    """`host` and `port`, or `path` of a Unix socket."""

    host: str = ""
    port: int = 0
    path: Path | None = None

    def __str__(self) -> str:
        return (
            f"{_UNIX}{self.path}"
            if self.path
            else f"[{self.host}]:{self.port}"
            if ":" in self.host
            else f"{self.host}:{self.port}"
        )


def _address(value: object, info: ValidationInfo) -> Address:
    if isinstance(value, Address):
        return value
    if isinstance(value, str) and value.startswith(_UNIX) and value != _UNIX:
        return _unix(Path(value.removeprefix(_UNIX)), base_folder(info))
    found = _HOST_AND_PORT.fullmatch(value) if isinstance(value, str) else None
    if not found or not 0 < int(found[2]) <= _LARGEST_PORT:
        raise ValueError(
            "is not a valid address to listen on; write host and port, such as "
            '"127.0.0.1:8766", or "unix:" and the path of a socket'
        )
    return Address(host=found[1].strip("[]"), port=int(found[2]))


def _unix(path: Path, base: Path) -> Address:
    whole = (base / at_home(path)).absolute()
    if len(os.fsencode(whole)) > _LONGEST_PATH:
        raise ValueError(
            f"is too long for a socket's path: {whole}; use at most {_LONGEST_PATH} bytes"
        )
    return Address(path=whole)


ListenAddress = Annotated[Address, BeforeValidator(_address)]
"""A place to listen, written `"127.0.0.1:8766"`, `"[::1]:8766"` or
`"unix:/run/postmottak/monitor.sock"`.
"""
