"""What a configuration may say, and hardly ever means: warnings, each with its key and line."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any

from daemon.config.faults import FaultList, KeyPath
from daemon.config.listen import Address

_VARIABLE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")


def add_cautions(faults: FaultList, values: Mapping[str, Any], monitoring: Address | None) -> None:
    """Record the warnings about the values of a file.

    `monitoring` is where that endpoint listens.
    """
    for path, text in _texts(values, ()):
        if found := _VARIABLE.search(text):
            faults.warn(
                path,
                f"{found[0]} is not replaced, because environment variables are not read",
                "Write the value itself; for a secret, write the name of a file that holds it",
            )
    if monitoring and not monitoring.path and not _is_loopback(monitoring.host):
        faults.warn(
            ("monitoring", "listen"),
            f"{monitoring} can be reached from other machines, and this endpoint has no "
            "authentication",
            'Write "127.0.0.1:8766", and let a proxy with authentication answer other machines',
        )


def _texts(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    """Yield every text in a file's values, with its key."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _texts(each, (*path, str(key)))
    elif isinstance(value, list):
        for place, each in enumerate(value):
            yield from _texts(each, (*path, place))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
