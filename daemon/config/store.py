"""`[store]`: where letters are kept."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import parse_qsl, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    model_validator,
)

from daemon.core.buckets import BucketAccess, bucket_prefix
from daemon.core.nodes import node_name
from daemon.core.settings import (
    ConnectorSettings,
    FilePath,
    NodeName,
    OpenedSecret,
    at_home,
    base_folder,
)
from daemon.core.tls import none_if_empty

_SQLITE, _S3 = "sqlite:///", "s3://"
_POSTGRESQL = "postgresql+psycopg://"
_EXAMPLES = (
    'write "sqlite:////var/lib/postmottak/postmottak.db" or '
    '"postgresql+psycopg://postmottak@db.example.no/postmottak"'
)
SEARCH = "search.db"
"""The page's search index, in the folder of a machine's own files. It is derived, and made again
where it is missing."""
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


@dataclass(frozen=True)
class BucketAddress:
    """A bucket, or the part of it under a prefix, written `s3://BUCKET/PREFIX`."""

    bucket: str
    prefix: str

    def __str__(self) -> str:
        return "/".join(filter(None, (f"{_S3}{self.bucket}", self.prefix)))


def _content_place(value: object, info: ValidationInfo) -> object:
    if isinstance(value, BucketAddress):
        return value
    if not isinstance(value, str | Path):
        raise ValueError('is not text; write a folder in quotes, or "s3://BUCKET/PREFIX"')  # noqa: TRY004
    if isinstance(value, Path) or "://" not in value:
        return base_folder(info) / at_home(Path(value))
    bucket, _, prefix = value.removeprefix(_S3).partition("/")
    if not value.startswith(_S3) or not re.fullmatch(r"[A-Za-z0-9._-]{3,63}", bucket):
        raise ValueError(
            "is not the address of a bucket; write a folder, or s3:// with the bucket's name and "
            'a prefix, such as "s3://post/content"'
        )
    return BucketAddress(bucket, bucket_prefix(prefix))


class BucketSettings(BucketAccess, ConnectorSettings):
    """`[store.s3]`: how the bucket for content is reached."""


class StoreSettings(BaseModel):
    """`[store]`: where letters are kept."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    database: Annotated[str, AfterValidator(_database_url)]
    password_file: OpenedSecret = None
    own_files: Annotated[FilePath | None, BeforeValidator(none_if_empty)] = None
    node: Annotated[NodeName | None, BeforeValidator(none_if_empty)] = None
    content: Annotated[Path | BucketAddress, BeforeValidator(_content_place)]
    """The folder or the bucket with the bytes of attachments."""
    content_cache: Annotated[FilePath | None, BeforeValidator(none_if_empty)] = None
    """A folder of this machine for files of a bucket."""
    content_cache_mb: Annotated[int, Field(ge=1)] = 2048
    """How large it may become, but for the files that are in use."""
    s3: BucketSettings | None = None

    @model_validator(mode="after")
    def _server_only(self) -> StoreSettings:
        ours = {
            "password_file": self.password_file,
            "own_files": self.own_files,
            "node": self.node,
        }
        for name in (name for name, value in ours.items() if value and self.is_file):
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
        return (self.own_files or self.content_folder.parent) / _OWN

    @property
    def node_name(self) -> str:
        """The name of this machine's node, with PostgreSQL."""
        return self.node or node_name(socket.gethostname())

    @property
    def password(self) -> str:
        """The password for the database; empty if there is none, or libpq finds it elsewhere."""
        return self.password_file.value if self.password_file else ""

    @model_validator(mode="after")
    def _is_reachable(self) -> Self:
        if isinstance(self.content, BucketAddress):
            if self.content_cache is None:
                raise ValueError(
                    "has content in a bucket and no content_cache; name a folder of this machine, "
                    'such as "/var/lib/postmottak/content-cache"'
                )
            if self.s3 is None:
                raise ValueError(
                    "has content in a bucket and no section [store.s3]; add it, with access_key_id "
                    "and secret_key_file"
                )
        return self

    @property
    def is_shared(self) -> bool:
        """Whether the database is one that several nodes use."""
        return not self.is_file

    @property
    def content_folder(self) -> Path:
        """The folder in which this machine writes content, for good or on its way to the bucket."""
        if isinstance(self.content, Path):
            return self.content
        assert self.content_cache
        return self.content_cache
