"""What the service's unit must grant for a configuration: folders to write to, secrets to pass on.

The configuration need not be complete yet, so its values are taken as they stand in the file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from daemon.core.settings import Secret
from daemon.core.unit_lines import load_credential, read_write_path
from daemon.service import plugins

_STATE = Path("/var/lib/postmottak")  # StateDirectory= of the unit
_PASSED_ON = "maskinporten.pem"  # LoadCredential= of the unit
_DROPS = "filedrop"
_SQLITE = "sqlite:///"


@dataclass(frozen=True, kw_only=True)
class UnitNeeds:
    """What a drop-in for the unit adds."""

    drops: tuple[Path, ...]
    """Folders that letters are dropped into."""
    stores: tuple[Path, ...]
    """Folders of the store outside the unit's own."""
    credentials: Mapping[str, Path]
    """Secret files that exist, by the names used in the configuration."""

    def drop_in(self) -> str:
        """Return the lines of the drop-in.

        A drop's folder may be missing at a start, because a consumer may remove it.
        """
        drops = [read_write_path(each) for each in self.drops]
        stores = [read_write_path(each, required=True) for each in self.stores]
        secrets = [load_credential(name, path) for name, path in self.credentials.items()]
        return "\n".join(["[Service]", *drops, *stores, *secrets]) + "\n"

    def page_drop_in(self) -> str:
        """Return the lines for the page's unit, which needs the store only; empty if none."""
        stores = [read_write_path(each, required=True) for each in self.stores]
        return "\n".join(["[Service]", *stores]) + "\n" if stores else ""


def unit_needs(path: Path) -> UnitNeeds:
    """Read what the configuration needs.

    Raises OSError, and ValueError for a file that is not TOML: what it needs is not known then.
    """
    values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    base = path.absolute().parent
    destinations = [each for _, each in _connectors(values, "destination")]
    drops = (each.get("path") for each in destinations if each.get("type") == _DROPS)
    return UnitNeeds(
        drops=tuple(dict.fromkeys(base / each for each in drops if isinstance(each, str) and each)),
        stores=tuple(dict.fromkeys(_stores(values.get("store"), base))),
        credentials=dict(_credentials(values, base)),
    )


def _connectors(values: Mapping[str, Any], kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    tables = values.get(kind)
    for each in tables.values() if isinstance(tables, dict) else ():
        if isinstance(each, dict) and isinstance(each.get("type"), str):
            yield each["type"], each


def _stores(store: object, base: Path) -> Iterator[Path]:
    found = store if isinstance(store, dict) else {}
    database, content, own = (found.get(key) for key in ("database", "content", "own_files"))
    opened = _STATE
    if isinstance(own, str) and own and not (base / own).is_relative_to(opened):
        yield base / own
    if isinstance(database, str) and database.startswith(_SQLITE):
        folder = (base / database.removeprefix(_SQLITE)).parent  # for the journals, too
        if not folder.is_relative_to(opened):
            yield folder
            opened = folder
    if isinstance(content, str) and content:
        folder = base / content
        if not (folder.is_relative_to(opened) or folder.is_relative_to(_STATE)):
            yield folder


def _credentials(values: Mapping[str, Any], base: Path) -> Iterator[tuple[str, Path]]:
    for name in dict.fromkeys(_secret_names(values)):
        if not {"/", ":"} & set(name) and name != _PASSED_ON and (base / name).is_file():
            yield name, base / name


def _secret_names(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of secret files, as the settings of the connectors declare them."""
    for kind in ("mailbox", "destination"):
        for connector_type, table in _connectors(values, kind):
            declared = plugins.find_settings(kind, connector_type)
            for key, field in declared.model_fields.items() if declared else ():
                if _holds_secret(field.annotation):
                    yield from _names(table.get(key))
    sections = (("api", "token_file"), ("events", "secret_file"), ("store", "password_file"))
    for section, key in sections:
        found = values.get(section)
        yield from _names(found.get(key) if isinstance(found, dict) else None)


def _holds_secret(annotation: object) -> bool:
    return annotation is Secret or any(map(_holds_secret, get_args(annotation)))


def _names(value: object) -> Iterator[str]:
    if isinstance(value, str) and value:
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _names(each)
