"""One letter: fetch it, decide its route, keep its bytes, and prepare what is stored together."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Generic, TypeVar
from uuid import UUID

from daemon.core.connector_calls import call_connector
from daemon.core.errors import (
    LetterGone,
    MailboxUnavailable,
    PartUnavailable,
    PostmottakError,
)
from daemon.core.file_kinds import is_text, kind_of
from daemon.core.filenames import safe_name
from daemon.core.letter_batch import LetterRequest
from daemon.core.missing_files import Lack, MissingFileValues
from daemon.core.model import (
    AttachmentValues,
    Envelope,
    Letter,
    LetterRef,
    Part,
    PartState,
    SightingState,
)
from daemon.core.outside_values import identifier_from, storable, text_from
from daemon.core.ports import Channel, Mailbox
from daemon.intake.file_retries import next_try
from daemon.intake.new_letter import MarkPolicies, stored_letter
from daemon.intake.party_names import PartyNames, without_names
from daemon.intake.rerouting import decide_in_thread
from daemon.routing.facts import facts_of
from daemon.routing.table import Table
from daemon.store import Store, StoredLetter
from daemon.store.content import ContentStore
from daemon.store.staging import Staged

_T = TypeVar("_T")
# of an attachment that does not match its checksum: if one in fifty is damaged, two in a row happen
_DOWNLOADS = 4


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """The outcome of fetching one letter.

    `letter` if it may be stored now, otherwise a state, or neither if the work was called off.
    """

    ref: LetterRef
    letter: StoredLetter | None = None
    staged: Sequence[Staged] = ()
    """The letter's attachments, to be published before it is stored."""
    state: SightingState | None = None
    problem: str = ""
    version: str | None = None
    """The version of the routing table that appointed no recipient for it."""


@dataclass(frozen=True)
class _Came:
    """What has come of a letter's attachments: bytes, or by their places why not."""

    staged: list[Staged] = field(default_factory=list)
    lacks: dict[int, Lack] = field(default_factory=dict)


Steps = Generator[LetterRequest, Letter | Staged | None, _T]
"""The calls that something takes, which are answered one by one."""


@dataclass(frozen=True)
class Done(Generic[_T]):
    """What steps have come to."""

    value: _T


def duplicate(ref: LetterRef, known: UUID) -> Fetched:
    """Return that a letter is stored under another id: that of Altinn 2, or that of Altinn 3."""
    return Fetched(
        ref=ref, state=SightingState.DUPLICATE, problem=f"here already, as message {known}"
    )


@dataclass(frozen=True, kw_only=True)
class Fetcher:
    """Fetches letters; may be used from several threads.

    `table` is called again for each letter, so it may change.
    """

    store: Store
    content: ContentStore
    table: Callable[[], Table]
    clock: Callable[[], datetime]
    names: PartyNames = without_names

    def fetch(
        self, mailbox: Mailbox, channel: Channel, policies: MarkPolicies, ref: LetterRef
    ) -> Fetched:
        """Fetch a letter, with the bytes of its attachments staged.

        Whatever is wrong with it is in the `problem` of the result. Raises StoreError.
        """
        steps = self.steps(channel, policies, ref)
        call = partial(self._run, mailbox, steps)
        return as_fetched(ref, call_connector(call, external_id=ref.external_id))

    def fetch_part(
        self, mailbox: Mailbox, ref: LetterRef, part: Part, place: int
    ) -> AttachmentValues:
        """Fetch one attachment by itself, with its bytes durable if they are available.

        Raises MailboxError and StoreError.
        """
        return self.ask_part(mailbox, ref, part, place)[0]

    def ask_part(
        self, mailbox: Mailbox, ref: LetterRef, part: Part, place: int
    ) -> tuple[AttachmentValues, Lack | None]:
        """As `fetch_part`, with the reason if the bytes are unavailable."""
        came = _Came()
        values = self._run(mailbox, self._keep(ref, part, place, came))
        self.content.publish(came.staged)
        return values, came.lacks.get(place)

    def _run(self, mailbox: Mailbox, steps: Steps[_T]) -> _T:
        """Take the steps one after the other, with one call to the mailbox each."""
        request = advance(steps, None)
        while isinstance(request, LetterRequest):
            request = advance(steps, self._answer(mailbox, request))
        return request.value

    def _answer(self, mailbox: Mailbox, request: LetterRequest) -> Letter | Staged | Exception:
        try:
            if request.part is None:
                return mailbox.fetch(request.ref)
            with mailbox.open_part(request.ref, request.part) as chunks:
                return self.content.stage(chunks)
        except Exception as error:  # noqa: BLE001  # raised where the answer is waited for
            return error

    def steps(self, channel: Channel, policies: MarkPolicies, ref: LetterRef) -> Steps[Fetched]:
        """Yield the calls that fetching the letter takes, each when the one before has ended.

        A call is answered with the letter or with the staged bytes, or its error is thrown in.
        Raises StoreError and MailboxError.
        """
        letter = _storable_letter(_letter((yield LetterRequest(ref=ref))))
        if not _is_of(ref, letter.envelope):
            raise MailboxUnavailable(
                "the mailbox answered with another letter than the one requested; it is asked "
                "again at the next poll"
            )
        if known := self._known_otherwise(letter):
            return duplicate(ref, known)
        called = text_from(self.names(ref.mailbox, ref.party))
        facts = facts_of(letter.envelope, letter.parts, self.clock(), called)
        table = self.table()
        decision = decide_in_thread(self.store, table, facts)
        if facts.confidential and not channel.fetch_confidential:
            return Fetched(
                ref=ref,
                state=SightingState.WAITING,
                problem="confidential, and confidential post is only listed",
            )
        if decision is None:
            problem = "confidential, and no route appoints a recipient for it"
            return Fetched(
                ref=ref, state=SightingState.WAITING, problem=problem, version=table.version
            )
        came = _Came()
        try:
            attachments: list[AttachmentValues] = []
            for place, part in enumerate(letter.parts, start=1):
                if lack := letter.lacks.get(part.external_id):
                    came.lacks[place] = lack
                attachments.append((yield from self._keep(ref, part, place, came)))
            stored = stored_letter(ref, letter, attachments, facts, decision, policies)
            missing = [
                missing_values(ref.message_id, place, lack, facts.at)
                for place, lack in came.lacks.items()
            ]
        except BaseException:
            self.content.discard(came.staged)
            raise
        return Fetched(ref=ref, letter=replace(stored, missing=missing), staged=came.staged)

    def _known_otherwise(self, letter: Letter) -> UUID | None:
        """Return the stored message that is the same letter, if it was imported from Altinn 2."""
        altinn2_id = letter.envelope.altinn2_id
        return (
            None
            if altinn2_id is None
            else self.store.letters.with_altinn2_id(altinn2_id, letter.envelope.ref.message_id)
        )

    def _keep(self, ref: LetterRef, part: Part, place: int, came: _Came) -> Steps[AttachmentValues]:
        """Return the attachment, with its bytes, or the reason why not, added to what `came`.

        A letter is never held up by bytes that are not.
        """
        state, found = part.state, None
        if state is PartState.PRESENT:
            try:
                state, found = yield from self._download(ref, part)
                came.staged.append(found)
            except PartUnavailable as error:
                state = PartState(error.state)
                came.lacks[place] = lack_of(error)
        return AttachmentValues(
            **{**storable(vars(part)), "state": state},
            message_id=ref.message_id,
            position=place,
            safe_name=safe_name(part.original_name, part.media_type, place, _kind(part, found)),
            size=found.kept.size if found else None,
            sha256=found.kept.sha256 if found else None,
        )

    def _download(self, ref: LetterRef, part: Part) -> Steps[tuple[PartState, Staged]]:
        """Download, and again if the bytes do not match the sender's checksum.

        They may have been damaged in transit.
        """
        for left in reversed(range(_DOWNLOADS)):
            staged = _staged((yield LetterRequest(ref=ref, part=part)))
            if part.sender_checksum.lower() in {"", staged.kept.md5}:
                return PartState.PRESENT, staged
            if left:
                self.content.discard([staged])
        return PartState.CHECKSUM_FAILED, staged


def as_fetched(ref: LetterRef, outcome: Fetched | PostmottakError) -> Fetched:
    """Return the outcome of fetching a letter; an error is a state and a problem."""
    if isinstance(outcome, PostmottakError):
        gone = isinstance(outcome, LetterGone)
        state = SightingState.GONE if gone else SightingState.FAILING
        return Fetched(ref=ref, state=state, problem=str(outcome))
    return outcome


def advance(
    steps: Steps[_T], answer: Letter | Staged | Exception | None
) -> LetterRequest | Done[_T]:
    """Answer the last call of the steps, and return the next one, or what they have come to.

    Raises what they raise.
    """
    try:
        return steps.throw(answer) if isinstance(answer, Exception) else steps.send(answer)
    except StopIteration as ended:
        return Done(ended.value)


def _letter(answer: Letter | Staged | None) -> Letter:
    assert isinstance(answer, Letter)
    return answer


def _is_of(ref: LetterRef, found: Envelope) -> bool:
    """Whether it is the letter that was asked for. The service may be another one."""
    return (ref.external_id, ref.mailbox, ref.party, ref.resource) == (
        found.external_id,
        found.mailbox,
        found.party,
        found.resource,
    )


def _staged(answer: Letter | Staged | None) -> Staged:
    assert isinstance(answer, Staged)
    return answer


def _kind(part: Part, staged: Staged | None) -> str:
    """Return the kind of file, by its first bytes; for text, only the sender says so.

    Empty if the bytes are not here.
    """
    if not staged or part.encrypted:
        return ""
    is_meant_as_text = part.media_type.partition(";")[0].strip().lower() == "text/plain"
    return kind_of(staged.head) or ("txt" if is_meant_as_text and is_text(staged.head) else "")


def _storable_letter(letter: Letter) -> Letter:
    """Return the letter without what no database can hold; the mailbox should have seen to it."""
    given = vars(letter.envelope)
    sound = storable(given) | {"altinn2_id": identifier_from(given["altinn2_id"])}
    return letter if sound == given else replace(letter, envelope=Envelope(**sound))


def lack_of(error: PartUnavailable) -> Lack:
    """Return the reason as it is kept."""
    return Lack(reason=text_from(str(error)), retry=error.retry, wait=error.retry_after)


def missing_values(
    message: UUID, place: int, lack: Lack, now: datetime, due_at: datetime | None = None
) -> MissingFileValues:
    """Return what is kept of an attachment that is not here yet."""
    return MissingFileValues(
        message_id=message,
        position=place,
        reason=lack.reason,
        since=now,
        tried_at=now,
        due_at=due_at or next_try(since=now, now=now, lack=lack),
    )
