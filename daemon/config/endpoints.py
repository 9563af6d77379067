"""`[api]`, `[monitoring]` and `[events]`: where the service listens, and for whom."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from daemon.config.listen import Address, ListenAddress
from daemon.core.push import Door
from daemon.core.settings import Secret, SecretFile

_SECRET = re.compile(r"[A-Za-z0-9_-]{32,200}")


def _https(text: str) -> str:
    parts = urlsplit(text)
    is_plain = not (parts.query or parts.fragment or parts.username or parts.password)
    if parts.scheme != "https" or not parts.hostname or not is_plain:
        raise ValueError(
            'is not a valid public address; write one such as "https://post.example.no/altinn"'
        )
    return text.rstrip("/")


def _in_a_path(secret: Secret) -> Secret:
    if not secret.is_closed and not _SECRET.fullmatch(secret.value):
        raise ValueError(
            f"does not hold 32 or more letters, digits, - and _: {secret.path}; make one with "
            "`openssl rand -hex 32`"
        )
    return secret


class ApiSettings(BaseModel):
    """`[api]`: the pull API, for programs that a webhook notifies and that then fetch letters.

    The API is off without this section.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    token_file: SecretFile
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8765

    @property
    def address(self) -> Address:
        """Where to listen."""
        return Address(host=self.host, port=self.port)


class MonitoringSettings(BaseModel):
    """`[monitoring]`: the monitoring endpoint, which has no authentication.

    Keep it on this machine. It is off without this section.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    listen: ListenAddress = Address(host="127.0.0.1", port=8766)


class EventsSettings(BaseModel):
    """`[events]`: events are off without this section."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    public_url: Annotated[str, AfterValidator(_https)]
    """What the reverse proxy exposes, and hands on with everything behind it."""
    secret_file: Annotated[SecretFile, AfterValidator(_in_a_path)]
    """What the address ends with, which nobody but Altinn is told."""
    listen: ListenAddress = Address(host="127.0.0.1", port=8768)

    @property
    def door(self) -> Door:
        """Where events are to be sent."""
        address = f"{self.public_url}/"
        return Door(address=address, endpoint=f"{address}{self.secret_file.value}")
