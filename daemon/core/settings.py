"""The types of values in the configuration and in the settings of connectors."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    Strict,
    ValidationInfo,
    model_validator,
)

from daemon.core.access import why_no_secret, why_not_read
from daemon.core.bounded_file import read_bounded
from daemon.core.durations import FOREVER, duration
from daemon.core.key_forms import binary_form
from daemon.core.model import Policy
from daemon.core.nodes import is_node_name
from daemon.core.organisation import is_organisation_number
from daemon.core.poll_interval import PollBounds
from daemon.core.proxies import Proxies


def _node_name(text: str) -> str:
    if not is_node_name(text):
        raise ValueError(
            'is not a name for a node; use letters, digits, `-`, `_` and `.`, for example "a"'
        )
    return text


NodeName = Annotated[str, AfterValidator(_node_name)]
"""What a node is called in its `[store] node`."""


class ConnectorSettings(BaseModel):
    """Base of every connector's settings; the two below are the bases to derive from."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    _network_proxies: Proxies = PrivateAttr(default_factory=Proxies)

    @model_validator(mode="after")
    def _take_proxies(self, info: ValidationInfo) -> Self:
        """Take the proxies of `[network]`, which the reader of the file hands on."""
        context: dict[str, Any] = info.context or {}
        self._network_proxies = context.get("proxies", self._network_proxies)
        return self

    @property
    def proxies(self) -> Proxies:
        """The HTTP proxies for the connector's connections."""
        return self._network_proxies


def _longer_than_zero(length: timedelta) -> timedelta:
    if not length:
        raise ValueError('must be longer than zero; write for example "5m"')
    return length


Duration = Annotated[timedelta, BeforeValidator(duration)]
"""A duration, written `"5m"`."""
PositiveDuration = Annotated[Duration, AfterValidator(_longer_than_zero)]
"""A duration that is longer than zero."""


def _organisation(text: str) -> str:
    if not is_organisation_number(text):
        raise ValueError(
            f"{text!r} is not a valid organisation number; it has nine digits, and the last is a "
            "check digit: look for a typing error"
        )
    return text


OrganisationNumber = Annotated[str, AfterValidator(_organisation)]


class MailboxSettings(ConnectorSettings):
    """Base of a mailbox's `Settings`: the options under `[mailbox.NAME]`, except `type`.

    The fields are options of every mailbox, which may narrow them and choose other defaults.
    """

    poll_every: Duration = timedelta(minutes=5)
    poll_every_min: PositiveDuration | None = None
    poll_every_max: PositiveDuration | None = None
    """With both, each organisation's own interval lies between them (`daemon.core.poll_interval`).
    """
    mark_read: Policy | Literal["fetched"] = Policy.NEVER
    """`fetched` where the source itself marks a letter as read when it is fetched."""
    confirm: Policy = Policy.NEVER
    party_names: Mapping[OrganisationNumber, str] = Field(default_factory=dict)
    """What organisations are called, by number; it precedes what Dialogporten calls them."""

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        shortest, longest = self.poll_every_min, self.poll_every_max
        if (shortest is None) != (longest is None):
            raise ValueError("poll_every_min and poll_every_max need each other; write both")
        if shortest and longest and shortest > longest:
            raise ValueError("poll_every_min is longer than poll_every_max; exchange them")
        return self

    @property
    def poll_bounds(self) -> PollBounds | None:
        """Between which intervals each organisation's own lies; None for `poll_every`."""
        if self.poll_every_min is None or self.poll_every_max is None:
            return None
        return PollBounds(self.poll_every_min, self.poll_every_max)

    @property
    def key_ends(self) -> date | None:
        """The last day of the key, as far as the settings say."""
        return None

    @property
    def organisations(self) -> tuple[str, ...]:
        """The numbers of the organisations whose mail it is, as far as the settings list them."""
        listed = getattr(self, "parties", ())
        return listed if isinstance(listed, tuple) else ()


class DestinationSettings(ConnectorSettings):
    """Base of a destination's `Settings`: the options under `[destination.NAME]`, except `type`.

    The field is an option of every destination. A destination overrides the properties that apply
    to it.
    """

    nodes: tuple[NodeName, ...] = ()
    """The nodes that reach it; none for all of them."""

    @property
    def can_notify(self) -> bool:
        """Whether the destination `Notifies`, as it is configured."""
        return False

    @property
    def can_notify_people(self) -> bool:
        """Whether it `Notifies` the people that a notification names."""
        return False

    @property
    def can_send_test(self) -> bool:
        """Whether a destination that `SendsTests` can send one, as it is configured."""
        return True

    @property
    def pickup_limit(self) -> timedelta | None:
        """How long a letter may lie there before it counts as not picked up; None for ever."""
        return None

    @property
    def client_certificate(self) -> Path | None:
        """The PEM file of the certificate with which the destination identifies itself."""
        return None

    @property
    def place(self) -> str:
        """Where letters go, as an operator would recognise it; without secrets."""
        return ""


def _keeping_time(text: object) -> timedelta:
    if isinstance(text, timedelta):
        return text
    if text == "forever":
        return FOREVER
    if not (isinstance(text, str) and re.fullmatch(r"[0-9]+d", text)):
        raise ValueError(
            'is not a valid retention time; write whole days, such as "3650d", or "forever"'
        )
    return duration(text)


KeepingTime = Annotated[timedelta, BeforeValidator(_keeping_time)]
"""How long something is kept, from the letter's arrival: `"3650d"` or `"forever"`."""


Day = Annotated[date, Strict()]
"""A day, written as in TOML, without quotes: `2026-12-21`."""


def base_folder(info: ValidationInfo) -> Path:
    """Return the folder of the file that is being read, to which relative paths are relative."""
    context: dict[str, Any] = info.context or {}
    return Path(context.get("base", "."))


def opens_secrets(info: ValidationInfo) -> bool:
    """Return whether files with secrets are opened; without that, no fault in them is found."""
    context: dict[str, Any] = info.context or {}
    return bool(context.get("open_secrets", True))


def _beside_the_file(path: Path, info: ValidationInfo) -> Path:
    return base_folder(info) / at_home(path)


def at_home(path: Path) -> Path:
    """Return the path with `~` expanded. Raises ValueError if that home folder does not exist."""
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ValueError(
            f"names a home folder that does not exist: {path}; write the full path"
        ) from error


FilePath = Annotated[Path, AfterValidator(_beside_the_file)]
"""A path; a relative one is relative to the file in which it is written."""


@dataclass(frozen=True)
class Secret:
    """The content of a secret file. Neither `str` nor `repr` shows it."""

    path: Path
    value: str = field(repr=False)
    """Empty if it is closed."""

    @property
    def is_closed(self) -> bool:
        """Whether the file was not opened, because the reader of the settings has no use for it."""
        return not self.value

    def __str__(self) -> str:
        return f"(secret from {self.path})"


def _read_secret(name: object, info: ValidationInfo) -> Secret:
    """Read a secret file, from systemd's credentials or beside the configuration."""
    if isinstance(name, Secret):
        return name
    if not isinstance(name, str) or not name:
        raise ValueError("is not a file name; write the path of a file that holds the secret")
    if not opens_secrets(info):
        return Secret(base_folder(info) / at_home(Path(name)), "")
    return _opened_secret(name, info)


def _read_opened(name: object, info: ValidationInfo) -> Secret | None:
    if not name:
        return None
    if opens_secrets(info) or not isinstance(name, str):
        return _read_secret(name, info)
    return _opened_secret(name, info)


def _opened_secret(name: str, info: ValidationInfo) -> Secret:
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    path = Path(credentials, name) if credentials else Path()
    if not (credentials and path.is_file()):
        path = base_folder(info) / at_home(Path(name))
    return _opened(name, path)


def open_secret(secret: Secret) -> Secret:
    """Return the secret, read now if it is closed. Raises ValueError with a remedy."""
    return _opened(str(secret.path), secret.path) if secret.is_closed else secret


def _opened(name: str, path: Path) -> Secret:
    try:
        return Secret(path, secret_text(read_bounded(path), path))
    except OSError as error:
        raise ValueError(f"cannot be read: {_why_no_secret(name, path, error)}") from error


def _why_no_secret(name: str, path: Path, error: OSError) -> str:
    """Return the reason and the remedy; only a name without a folder can be a credential's."""
    why = why_not_read if "/" in name else why_no_secret
    if reason := why(path, error.errno or 0):
        return f"{path} {reason}"
    reason = (error.strerror or "it cannot be opened").lower()
    return f"{path}: {reason}; create the file, with the secret in it"


def secret_text(content: bytes, path: Path) -> str:
    """Return the content of a secret file, without a byte order mark and surrounding white space.

    Raises ValueError, with a remedy and without a word of the secret, for anything but text in
    UTF-8 that says something.
    """
    text = plain_text(content, path).strip()
    if not text:
        raise ValueError(f"is empty: {path}; write the secret into it")
    return text


def plain_text(content: bytes, path: Path) -> str:
    """Return the text of a file in UTF-8, without a byte order mark.

    Raises ValueError, with a remedy and without a word of the text.
    """
    if found := binary_form(content, path):
        raise ValueError(found)
    if what := _other_text(content):
        raise ValueError(f"{what}: {path}; it must be a text file in UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        # from None: the error would hold the bytes
        raise ValueError(f"is not in UTF-8: {path}; it must be a text file in UTF-8") from None


def _other_text(content: bytes) -> str:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "is in UTF-16, which some editors and PowerShell write"
    if b"\0" in content:
        return "is not text, or is UTF-16: it contains zero bytes"
    return ""


SecretFile = Annotated[Secret, BeforeValidator(_read_secret)]
OpenedSecret = Annotated[Secret | None, BeforeValidator(_read_opened)]
"""A secret that whoever reads the settings needs, also where the others stay closed; None for an
empty name.
"""
"""The path of a file that holds a secret; read when the configuration is read.

A validator of the secret must accept a closed one, of which only the path is known.
"""


"""Nine digits with a valid check digit."""


def is_mail_address(text: str) -> bool:
    """Whether it is one plain address that every mail server accepts.

    That is ASCII, without a display name and without quoting.
    """
    return text.isascii() and bool(
        re.fullmatch(r"""[^\s@<>()\[\],;:\\"]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*""", text)
    )


def mail_address(text: str) -> str:
    """Return the text if `is_mail_address` accepts it. Raises ValueError."""
    if not is_mail_address(text):
        raise ValueError(
            f"{text!r} is not a valid e-mail address; write only the address, in ASCII, such as "
            '"post@example.no"'
        )
    return text


MailAddress = Annotated[str, AfterValidator(mail_address)]
"""One e-mail address, alone and in ASCII."""
