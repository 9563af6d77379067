"""`[store]`: where letters are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qsl, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ValidationInfo,
    model_validator,
)

from daemon.core.settings import FilePath, OpenedSecret, base_folder

_SQLITE = "sqlite:///"
_POSTGRESQL = "postgresql+psycopg://"
_EXAMPLES = (
    'write "sqlite:////var/lib/postmottak/postmottak.db" or '
    '"postgresql+psycopg://postmottak@db.example.no/postmottak"'
)
_OWN = "postmottak"
"""How the names of the files begin that a machine has of its own, beside PostgreSQL."""


def _database_url(text: str, info: ValidationInfo) -> str:
    if text.startswith(_POSTGRESQL):
        return _server_url(text)
    if text.startswith(("postgresql:", "postgres:")):
        raise ValueError(f"names no driver; begin with {_POSTGRESQL}")
    if not text.startswith(_SQLITE):
        raise ValueError(f"is not a supported database; {_EXAMPLES}")
    name = text.removeprefix(_SQLITE)
    if not name:
        raise ValueError(
            'does not name a file; write "sqlite:////var/lib/postmottak/postmottak.db"'
        )
    path = Path(name)
    base = base_folder(info)
    if not path.is_absolute():
        first = path.parts[0] if len(path.parts) > 1 else ""
        if first and Path("/", first).is_dir() and not (base / first).is_dir():
            raise ValueError(
                "is a relative path that looks like an absolute one; write four slashes: "
                f"sqlite:////{path}"
            )
    return _SQLITE + str((base / path).absolute())


def _server_url(text: str) -> str:
    """Return a URL of PostgreSQL. What its parts mean is libpq's affair."""
    found = urlsplit(text)
    query = {name.lower() for name, _ in parse_qsl(found.query, keep_blank_values=True)}
    if ":" in found.netloc.rpartition("@")[0] or "password" in query:
        raise ValueError(
            "holds a password, which everybody who reads this file would see; write it into a "
            "file, and name that in password_file"
        )
    if "options" in query:
        raise ValueError("must not have `options`, which poolers refuse; set them for the role")
    return text


def _none_if_empty(value: object) -> object:
    return value or None


class StoreSettings(BaseModel):
    """`[store]`: where letters are kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    database: Annotated[str, AfterValidator(_database_url)]
    password_file: OpenedSecret = None
    content: FilePath
    own_files: Annotated[FilePath | None, BeforeValidator(_none_if_empty)] = None

    @model_validator(mode="after")
    def _server_only(self) -> StoreSettings:
        if self.is_file and (self.password_file or self.own_files):
            name = "password_file" if self.password_file else "own_files"
            raise ValueError(f"{name} is for PostgreSQL only; remove it")
        return self

    @property
    def is_file(self) -> bool:
        """Whether the database is a file of this machine's: SQLite."""
        return self.database.startswith(_SQLITE)

    @property
    def beside(self) -> Path:
        """What the names of this machine's own files begin with: lock, keys, search index.

        The database itself, if that is a file. With PostgreSQL there is no file of this name.
        """
        if self.is_file:
            return Path(self.database.removeprefix(_SQLITE))
        return (self.own_files or self.content.parent) / _OWN

    @property
    def password(self) -> str:
        """The password for the database; empty if there is none, or libpq finds it elsewhere."""
        return self.password_file.value if self.password_file else ""
