"""A folder as a mailbox, for imports and for tests: each letter is a folder of its own, with a `letter.json` and its files.

`letter.json` has the fields of daemon/model.py's Envelope (`service`, `title`, `published_at` at least) and `files`, a list of
`{"file": "a.pdf", "name": "Vedtak.pdf", "media_type": "application/pdf"}`, of which `file` is the name in the folder. Put it there
last: it is what makes the folder a letter. `READ` and `CONFIRMED` are files that appear there when a letter is marked.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, BinaryIO

from pydantic import AfterValidator, BaseModel, Field, ValidationError

from daemon.dpv import ALL_SERVICES, find_service
from daemon.errors import LetterGone, MailboxUnavailable, PartUnavailable
from daemon.model import Envelope, Letter, LetterRef, Part, PartState, Policy
from daemon.outside_values import is_said, json_from, time_if_set
from daemon.ports import Channel, Finding, Listing
from daemon.settings import ConnectorSettings, Duration, FilePath, OrganisationNumber

_LETTER = "letter.json"
_RESOURCE = "folder"
_CHUNK = 256 * 1024


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise ValueError(f"is no folder: {path}; make it, or name another one")
    return path


class Settings(ConnectorSettings):
    """`[mailbox.NAME]` with `type = "folder"`."""

    path: Annotated[FilePath, AfterValidator(_folder)]
    party: OrganisationNumber
    poll_every: Duration = timedelta(minutes=5)
    mark_read: Policy = Policy.NEVER
    confirm: Policy = Policy.NEVER


class _File(BaseModel):
    """One of `files` in a letter.json."""

    file: str = Field(pattern=r"^[^/\\]+$")
    name: str
    display_name: str = ""
    media_type: str = "application/octet-stream"


def connect(name: str, settings: Settings) -> Folder:
    """The mailbox, ready for use."""
    return Folder(name, settings)


class Folder:
    """The mailbox. The folder is read anew each time."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self._path = settings.path
        self._party = settings.party

    def channels(self) -> Sequence[Channel]:
        """One for each service, confidential post included: whoever puts a letter here wants it fetched."""
        return tuple(Channel(party=self._party, service=each.code, resource=_RESOURCE) for each in ALL_SERVICES)

    def earliest(self, channel: Channel, position: datetime | None, now: datetime) -> None:
        """Always everything: letters can be put here with any date."""

    def list(self, channel: Channel, since: datetime | None) -> Listing:
        """The service's letters; one that cannot be read is among those of the first service, and fetching it says why."""
        try:
            folders = sorted(each.parent for each in self._path.glob(f"*/{_LETTER}"))
        except OSError as error:
            raise MailboxUnavailable(f"{self._path} cannot be read ({error.strerror}); let the service's user read it") from error
        refs = (self._ref(folder.name, channel.service) for folder in folders if self._belongs(folder, channel, since))
        return Listing(refs=tuple(refs))

    def fetch(self, ref: LetterRef) -> Letter:
        """The letter, and which of its files are there. Raises LetterGone, or MailboxUnavailable if its letter.json is wrong."""
        folder = self._existing(ref)
        try:
            told = _read(folder)
            envelope = Envelope.model_validate({**told, **vars(ref)})
            parts = tuple(_part(folder, _File.model_validate(each)) for each in told["files"])
        except (OSError, ValueError) as error:
            raise MailboxUnavailable(f"{folder / _LETTER} is no letter: {_reason(error)}; correct it") from None
        return Letter(envelope=envelope, parts=parts)

    @contextmanager
    def open_part(self, ref: LetterRef, part: Part) -> Iterator[Iterator[bytes]]:
        """The file's bytes. Raises PartUnavailable."""
        try:
            file = (self._folder(ref) / Path(part.external_id).name).open("rb")
        except OSError as error:
            raise PartUnavailable(f"{part.external_id} cannot be read: {error.strerror}", state=PartState.UNAVAILABLE) from error
        with file:
            yield _chunks(file)

    def mark_read(self, ref: LetterRef) -> None:
        """Put a file READ beside the letter. Raises LetterGone."""
        (self._existing(ref) / "READ").touch()

    def confirm(self, ref: LetterRef) -> None:
        """Put a file CONFIRMED beside the letter. Raises LetterGone."""
        (self._existing(ref) / "CONFIRMED").touch()

    def confirmed(self, ref: LetterRef) -> bool:
        """Whether the letter is confirmed. Raises LetterGone."""
        return (self._existing(ref) / "CONFIRMED").exists()

    def check(self) -> Iterator[Finding]:
        """Whether the folder is there."""
        there = self._path.is_dir()
        yield Finding(subject=str(self._path), ok=there, text="is a folder" if there else "is no folder; make it, or name another one")

    def close(self) -> None:
        """Nothing is held open."""

    def _ref(self, name: str, service: str) -> LetterRef:
        return LetterRef(mailbox=self.name, party=self._party, service=service, resource=_RESOURCE, external_id=_as_text(name))

    def _folder(self, ref: LetterRef) -> Path:
        folder = self._path / Path(ref.external_id).name
        if folder.exists() or "\\" not in ref.external_id:
            return folder
        return next((each for each in self._path.iterdir() if _as_text(each.name) == ref.external_id), folder)

    def _existing(self, ref: LetterRef) -> Path:
        folder = self._folder(ref)
        if not (folder / _LETTER).is_file():
            raise LetterGone(f"letter {ref.external_id} is no longer in {self._path}")
        return folder

    def _belongs(self, folder: Path, channel: Channel, since: datetime | None) -> bool:
        try:
            told = _read(folder)
        except (OSError, ValueError):
            return channel.service == ALL_SERVICES[0].code
        return channel.service == told["service"] and (since is None or told["requested_at"] > since)


def _as_text(name: str) -> str:
    r"""A file's name as text that can be kept: bytes that are no UTF-8 are written `\xe5`."""
    return os.fsencode(name).decode(errors="backslashreplace")


def _read(folder: Path) -> dict[str, Any]:
    """What letter.json says, as every store can keep it. Raises OSError, or ValueError, which quotes nothing of it."""
    told = json_from((folder / _LETTER).read_text(encoding="utf-8-sig"))
    if not isinstance(told, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004  # a file's content is a value
    service = find_service(str(told.get("service")))
    if service is None:
        raise ValueError("its service is unknown")
    times = {key: _time(told[key], key) for key in ("requested_at", "created_at", "due_at") if told.get(key)}
    put_here = datetime.fromtimestamp((folder / _LETTER).stat().st_mtime, UTC)
    published = _time(told.get("published_at"), "published_at") or times.get("requested_at") or put_here
    requested = times.get("requested_at") or published
    confidential = is_said(told.get("confidential")) or service.confidential
    files = told.get("files") or []
    if not isinstance(files, list):
        raise ValueError("its files are no list")  # noqa: TRY004  # a file's content is a value
    own = {"service": service.code, "published_at": published, "requested_at": requested, "confidential": confidential, "files": files}
    return {**told, **times, **own}


def _time(text: object, key: str) -> datetime | None:
    """The time; None for one that stands for none. Raises ValueError."""
    try:
        time = datetime.fromisoformat(str(text))
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise ValueError(f"{key} is no time with a zone, such as 2026-03-12T09:00:00+01:00")
    return time_if_set(time)


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, ValidationError):
        return "wrong or missing: " + ", ".join(sorted({str(each["loc"][0]) for each in error.errors() if each["loc"]}))
    return (error.strerror or "it cannot be read").lower() if isinstance(error, OSError) else str(error)


def _part(folder: Path, file: _File) -> Part:
    return Part(
        external_id=file.file,
        original_name=file.name,
        display_name=file.display_name,
        media_type=file.media_type,
        state=PartState.PRESENT if (folder / file.file).is_file() else PartState.UNAVAILABLE,
    )


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk
