"""`[store]`: where letters are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo

from daemon.core.settings import FilePath, base_folder

_SQLITE = "sqlite:///"


def _database_url(text: str, info: ValidationInfo) -> str:
    if not text.startswith(_SQLITE):
        raise ValueError(
            'is not a supported database; write "sqlite:////var/lib/postmottak/postmottak.db"'
        )
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


class StoreSettings(BaseModel):
    """`[store]`: where letters are kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    database: Annotated[str, AfterValidator(_database_url)]
    content: FilePath

    @property
    def database_path(self) -> Path:
        """The database file."""
        return Path(self.database.removeprefix(_SQLITE))
