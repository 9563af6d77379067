"""The configuration for people: option by option, and never a secret."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel

from daemon.config.listen import Address
from daemon.config.loader import Configuration
from daemon.core.durations import duration_text

_SECTIONS = (
    *("store", "delivery", "routing", "retention", "alerts", "api", "monitoring", "web"),
    "events",
)
_WEB = frozenset({"http", "https"})
_SECTIONS = (
    *("store", "delivery", "routing", "retention", "alerts", "canary", "api", "monitoring"),
    "web",
)


@dataclass(frozen=True, kw_only=True)
class Option:
    """An option and its value as text; None for a secret that is set, empty if it is not set."""

    name: str
    value: str | None


def sections(configuration: Configuration) -> Iterator[tuple[str, Sequence[Option]]]:
    """Yield every section with its options, those with defaults included."""
    for name in _SECTIONS:
        if model := getattr(configuration, name):
            yield name, list(_options(model))
    for kind, some in (
        ("mailbox", configuration.mailboxes),
        ("destination", configuration.destinations),
    ):
        for each in some:
            own = Option(name="type", value=each.type)
            yield f"{kind}.{each.name}", [own, *_options(each.settings)]


def _options(model: BaseModel, before: str = "") -> Iterator[Option]:
    for name, value in model:
        if isinstance(value, BaseModel):
            yield from _options(value, f"{before}{name}.")
        elif isinstance(value, Mapping):
            yield from _of_mapping(value, f"{before}{name}.")
        else:
            yield Option(name=f"{before}{name}", value=_text(value))


def _of_mapping(values: Mapping[Any, Any], before: str) -> Iterator[Option]:
    for name, value in values.items():
        if isinstance(value, BaseModel):
            yield from _options(value, f"{before}{name}.")
        elif isinstance(value, Mapping):
            yield from _of_mapping(value, f"{before}{name}.")
        else:
            yield Option(name=f"{before}{name}", value=_text(value))


def _text(value: object) -> str | None:
    """Return the value as the file has it; None for a secret, and for all that may be one."""
    for kinds, text_of in _TEXTS:
        if isinstance(value, kinds):
            return text_of(value)
    if isinstance(value, tuple | list | frozenset):
        texts = [_text(each) for each in value]
        return None if None in texts else ", ".join(filter(None, texts))
    return None


def _without_secrets(text: str) -> str:
    """Return a text; of a web address only the server, because the rest may hold a secret."""
    parts = urlsplit(text) if "://" in text else None
    if not parts or parts.scheme not in _WEB:
        return text
    rest = "/…" if parts.path.strip("/") or parts.query else ""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{rest}"


_TEXTS: Sequence[tuple[type | tuple[type, ...], Callable[[Any], str]]] = (
    (type(None), lambda _: ""),
    (bool, lambda value: "true" if value else "false"),
    (timedelta, duration_text),
    (Enum, lambda value: str(value.value)),
    (str, _without_secrets),
    ((int, float, date, Path, Address), str),
)
"""What is shown, by its type; the first that fits counts."""
