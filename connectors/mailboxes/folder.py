"""A folder as a mailbox, for imports and for tests.

Each letter is a subfolder with a `letter.json` and its files. `letter.json` has the fields of
daemon/core/model.py's Envelope (`service`, `title`, `published_at` at least) and `files`, a list of
`{"file": "a.pdf", "name": "Vedtak.pdf", "media_type": "application/pdf"}`, of which `file` is the
name in the folder. Put letter.json there last: it is what makes the folder a letter. `READ` and
`CONFIRMED` are files that appear there when a letter is marked.

Others write to the folder, so it is accessed as connectors/drops/shared_folder.py describes: no
link in it is followed, no pipe is waited for. What does not fit is left, and the error names it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, BinaryIO, NoReturn

from pydantic import AfterValidator, BaseModel, Field, ValidationError

from connectors.drops import shared_folder
from connectors.drops.shared_folder import Unfit
from daemon.core.dpv import ALL_SERVICES, find_service
from daemon.core.errors import LetterGone, MailboxUnavailable, PartUnavailable
from daemon.core.model import Envelope, Letter, LetterRef, Part, PartState, Policy
from daemon.core.outside_values import is_said, json_from, time_if_set
from daemon.core.ports import Channel, Finding, Listing
from daemon.core.settings import FilePath, MailboxSettings, OrganisationNumber

_LETTER, _READ, _CONFIRMED = "letter.json", "READ", "CONFIRMED"
_RESOURCE = "folder"
_CHUNK = 256 * 1024
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_LETTER = 64 << 20  # bytes of a letter.json; its body is the letter's text


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise ValueError(f"is not a folder: {path}; create it, or name another one")
    return path


class Settings(MailboxSettings):
    """`[mailbox.NAME]` with `type = "folder"`."""

    path: Annotated[FilePath, AfterValidator(_folder)]
    party: OrganisationNumber
    mark_read: Policy = Policy.NEVER


class _ListedFile(BaseModel):
    """One of `files` in a letter.json."""

    file: str = Field(pattern=r"^[^/\\\x00]+$")
    name: str
    display_name: str = ""
    media_type: str = "application/octet-stream"


def connect(name: str, settings: Settings) -> Folder:
    """Return the mailbox, ready for use."""
    return Folder(name, settings)


class Folder:
    """The mailbox. The folder is read again each time."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self._path = settings.path
        self._party = settings.party

    def channels(self) -> Sequence[Channel]:
        """Return a channel for each service.

        Confidential post is included: a letter that is put here is meant to be fetched.
        """
        return tuple(
            Channel(party=self._party, service=each.code, resource=_RESOURCE)
            for each in ALL_SERVICES
        )

    def earliest(self, channel: Channel, position: datetime | None, now: datetime) -> None:
        """Return None, which means everything: letters can be put here with any date."""

    def list(self, channel: Channel, since: datetime | None) -> Listing:
        """List the service's letters.

        An unreadable letter is listed under the first service, and fetching it reports the reason.
        """
        try:
            with _opened(self._path) as mailbox:
                names = sorted(os.listdir(mailbox))  # noqa: PTH208  # a Path has no descriptor
                mine = tuple(each for each in names if _belongs(each, mailbox, channel, since))
        except OSError as error:
            raise MailboxUnavailable(
                f"{self._path} cannot be read ({error.strerror}); let the service's user read it"
            ) from error
        return Listing(refs=tuple(self._ref(each, channel.service) for each in mine))

    def fetch(self, ref: LetterRef) -> Letter:
        """Return the letter, and which of its files exist.

        Raises LetterGone, or MailboxUnavailable if its letter.json is wrong.
        """
        with self._letter(ref) as folder:
            try:
                told = _read(folder)
                envelope = Envelope.model_validate({**told, **vars(ref)})
                parts = [
                    self._part(ref, folder, _ListedFile.model_validate(each))
                    for each in told["files"]
                ]
            except Unfit as unfit:
                self._refuse(ref, _LETTER, unfit)
            except (OSError, ValueError) as error:
                raise MailboxUnavailable(
                    f"{self._path / ref.external_id / _LETTER} is not a valid letter: "
                    f"{_reason(error)}; correct it"
                ) from None
            return Letter(envelope=envelope, parts=tuple(parts))

    @contextmanager
    def open_part(self, ref: LetterRef, part: Part) -> Iterator[Iterator[bytes]]:
        """Yield the file's bytes.

        Raises PartUnavailable, or MailboxUnavailable if it is not a regular file.
        """
        name = Path(part.external_id).name
        try:
            with self._letter(ref) as folder:
                descriptor = shared_folder.open_file(name, folder, sole=True)
        except Unfit as unfit:
            self._refuse(ref, name, unfit)
        except (OSError, LetterGone) as error:
            reason = error.strerror if isinstance(error, OSError) else "the letter is gone"
            raise PartUnavailable(
                f"{part.external_id} cannot be read: {reason}", state=PartState.UNAVAILABLE
            ) from error
        with os.fdopen(descriptor, "rb") as file:
            yield _chunks(file, os.fstat(descriptor).st_size)

    def mark_read(self, ref: LetterRef) -> None:
        """Put a file READ beside the letter. Raises LetterGone."""
        self._mark(ref, _READ)

    def confirm(self, ref: LetterRef) -> None:
        """Put a file CONFIRMED beside the letter. Raises LetterGone."""
        self._mark(ref, _CONFIRMED)

    def confirmed(self, ref: LetterRef) -> bool:
        """Return whether the letter is confirmed. Raises LetterGone."""
        with self._letter(ref) as folder:
            return shared_folder.look(_CONFIRMED, folder) is not None

    def check(self) -> Iterator[Finding]:
        """Check that the folder exists."""
        there = self._path.is_dir()
        yield Finding(
            subject=str(self._path),
            ok=there,
            text="is a folder" if there else "is not a folder; create it, or name another one",
        )

    def close(self) -> None:
        """Do nothing: nothing is kept open."""

    def _ref(self, name: str, service: str) -> LetterRef:
        return LetterRef(
            mailbox=self.name,
            party=self._party,
            service=service,
            resource=_RESOURCE,
            external_id=_as_text(name),
        )

    @contextmanager
    def _letter(self, ref: LetterRef) -> Iterator[int]:
        """Open the letter's folder.

        Raises LetterGone, or MailboxUnavailable if it is something else.
        """
        name = Path(ref.external_id).name
        try:
            with _opened(self._path) as mailbox:
                folder = _open_letter(_file_name(name, mailbox), mailbox)
        except Unfit as unfit:
            self._refuse(ref, "", unfit)
        except OSError as error:
            raise MailboxUnavailable(
                f"{self._path} cannot be read ({error.strerror}); let the service's user read it"
            ) from error
        if folder is None:
            raise LetterGone(f"letter {name} is no longer in {self._path}")
        try:
            if shared_folder.look(_LETTER, folder) is None:
                raise LetterGone(f"letter {name} is no longer in {self._path}")
            yield folder
        finally:
            os.close(folder)

    def _part(self, ref: LetterRef, folder: int, file: _ListedFile) -> Part:
        found = shared_folder.look(file.file, folder)
        try:
            if found is not None:
                shared_folder.must_be_file(found, sole=True)
        except Unfit as unfit:
            self._refuse(ref, file.file, unfit)
        return Part(
            external_id=file.file,
            original_name=file.name,
            display_name=file.display_name,
            media_type=file.media_type,
            state=PartState.UNAVAILABLE if found is None else PartState.PRESENT,
        )

    def _mark(self, ref: LetterRef, mark: str) -> None:
        with self._letter(ref) as folder:
            if shared_folder.look(mark, folder) is None:
                self._make(ref, mark, folder)

    def _make(self, ref: LetterRef, mark: str, folder: int) -> None:
        try:
            os.close(os.open(mark, _NEW, 0o666, dir_fd=folder))
        except FileExistsError:
            return
        except OSError as error:
            place = self._path / ref.external_id / mark
            raise MailboxUnavailable(
                f"{place} cannot be created ({error.strerror}); let the service's user write there"
            ) from error

    def _refuse(self, ref: LetterRef, name: str, unfit: Unfit) -> NoReturn:
        place = self._path / ref.external_id / name
        raise MailboxUnavailable(
            f"{place} is {unfit.what}, and was left unchanged; put a file or folder there instead"
        ) from unfit


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """Open the mailbox's own folder, which may be named by a link. Raises OSError."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield folder
    finally:
        os.close(folder)


def _as_text(name: str) -> str:
    r"""A file's name as text that can be kept: bytes that are not UTF-8 are written `\xe5`."""
    return os.fsencode(name).decode(errors="backslashreplace")


def _file_name(text: str, mailbox: int) -> str:
    """Return the name in the open folder that `_as_text` wrote so."""
    if "\\" not in text or shared_folder.look(text, mailbox) is not None:
        return text
    names = os.listdir(mailbox)  # a Path has no descriptor
    return next((name for name in names if _as_text(name) == text), text)


def _open_letter(name: str, mailbox: int) -> int | None:
    try:
        return shared_folder.open_folder(name, mailbox)
    except FileNotFoundError:
        return None


def _belongs(name: str, mailbox: int, channel: Channel, since: datetime | None) -> bool:
    """Return whether it is a letter for this channel.

    Unreadable letters belong to the first service.
    """
    try:
        told = _told(name, mailbox)
    except (OSError, ValueError, Unfit):
        return channel.service == ALL_SERVICES[0].code
    return (
        told is not None
        and channel.service == told["service"]
        and (since is None or told["requested_at"] > since)
    )


def _told(name: str, mailbox: int) -> dict[str, Any] | None:
    """Return the content of a letter's letter.json.

    None if it does not exist yet, or if what has the letter's name cannot be a letter.
    """
    found = shared_folder.look(name, mailbox)
    if found is None or not (stat.S_ISDIR(found.st_mode) or stat.S_ISLNK(found.st_mode)):
        return None
    folder = shared_folder.open_folder(name, mailbox)
    try:
        return _read(folder)
    except FileNotFoundError:
        return None
    finally:
        os.close(folder)


def _read(folder: int) -> dict[str, Any]:
    """Return the content of letter.json, as every store can keep it.

    Raises OSError, Unfit, or ValueError, which quotes nothing of it.
    """
    text, put_here = _text(folder)
    told = json_from(text)
    if not isinstance(told, dict):
        raise ValueError("it is not a JSON object")  # noqa: TRY004  # a file's content is a value
    service = find_service(str(told.get("service")))
    if service is None:
        raise ValueError("its service is unknown")
    times = {
        key: _time(told[key], key)
        for key in ("requested_at", "created_at", "due_at")
        if told.get(key)
    }
    published = (
        _time(told.get("published_at"), "published_at") or times.get("requested_at") or put_here
    )
    requested = times.get("requested_at") or published
    confidential = is_said(told.get("confidential")) or service.confidential
    files = told.get("files") or []
    if not isinstance(files, list):
        raise ValueError("its files are not a list")  # noqa: TRY004  # a file's content is a value
    own = {
        "service": service.code,
        "published_at": published,
        "requested_at": requested,
        "confidential": confidential,
        "files": files,
    }
    return {**told, **times, **own}


def _text(folder: int) -> tuple[str, datetime]:
    """Return the text of letter.json, and when it was put there."""
    with os.fdopen(shared_folder.open_file(_LETTER, folder, sole=True), "rb") as file:
        data = file.read(_MAX_LETTER + 1)
        put_here = datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)
    if len(data) > _MAX_LETTER:
        raise ValueError(f"it has more than {_MAX_LETTER >> 20} MiB")
    return data.decode("utf-8-sig"), put_here


def _time(text: object, key: str) -> datetime | None:
    """Return the time; None for the value that means "no time". Raises ValueError."""
    try:
        time = datetime.fromisoformat(str(text))
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise ValueError(f"{key} is not a time with a zone, such as 2026-03-12T09:00:00+01:00")
    return time_if_set(time)


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, ValidationError):
        return "wrong or missing: " + ", ".join(
            sorted({str(each["loc"][0]) for each in error.errors() if each["loc"]})
        )
    return (
        (error.strerror or "it cannot be read").lower()
        if isinstance(error, OSError)
        else str(error)
    )


def _chunks(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield the file's bytes, up to its size when it was opened: a growing file would never end."""
    while chunk := file.read(min(_CHUNK, size)):
        size -= len(chunk)
        yield chunk
