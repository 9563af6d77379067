"""The rows of a routing table, as an administrator writes them.

These are recipients, routes and delegations.
"""

from __future__ import annotations

from datetime import date
from functools import cached_property
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    field_validator,
)

from daemon.core.accounts import is_user_name
from daemon.core.dpv import CONFIDENTIAL_POST, service_code
from daemon.core.folding import fold, readable, readable_expression
from daemon.core.model import Policy
from daemon.core.organisation import is_organisation_number
from daemon.core.settings import (
    Day,
    Duration,
    KeepingTime,
    OrganisationNumber,
    is_mail_address,
    mail_address,
)
from daemon.core.time_of_day import TimeOfDay
from daemon.core.working_days import WorkingTerm


def _in_quotes(value: object) -> object:
    """Refuse numbers where text belongs.

    Reading the file has already lost their zeros, their slash, or their meaning.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(  # noqa: TRY004
            f'{value!r} is a number; write it as text in quotes: "{value}"'
        )  # pydantic makes a fault of it
    return value


def _service_in_quotes(value: object) -> object:
    if isinstance(value, int | float):
        raise ValueError(  # noqa: TRY004
            f"{value!r} is a number, not a service; write code and edition in quotes, such "
            'as "4255/8"'
        )  # pydantic makes a fault of it
    return value


def _folds_to_something(text: str) -> str:
    if not fold(text).strip():
        raise ValueError(f"{text!r} matches every title; write a word, or leave it out")
    return text


def _says_something(text: str) -> str:
    if not fold(text).strip():
        raise ValueError(f"{text!r} has no visible characters; write a word, or leave it out")
    return text


def _sender(text: str) -> str:
    digits = readable(text).replace(" ", "")
    if not digits.isdigit():
        return text
    if not is_organisation_number(digits):
        raise ValueError(
            f"{text!r} is not a valid organisation number; it has nine digits, and the last is a "
            "check digit"
        )
    return digits


def compile_expression(text: str) -> Any:
    """Compile the regular expression. Raises ValueError.

    Matching takes time in proportion to the title, whatever the expression is, unlike `re`.
    """
    import re2

    quiet = re2.Options()
    quiet.log_errors = False  # or it writes to stderr by itself
    try:
        return re2.compile(text, quiet)
    except re2.error as error:
        reason = (
            error.args[0].decode()
            if error.args and isinstance(error.args[0], bytes)
            else str(error)
        )
        raise ValueError(
            f"is not a supported regular expression: {reason}; look-around and back "
            "references are not possible"
        ) from error


def compile_readable(text: str) -> Any:
    """Compile the expression for titles as a person sees them.

    If it would not be valid without its invisible characters, compile it as it is.
    """
    try:
        return compile_expression(readable_expression(text))
    except ValueError:
        return compile_expression(text)


def _expression(text: str) -> str:
    compile_expression(text)
    return text


def _mail_address_if_any(text: str) -> str:
    return mail_address(text) if text else ""


def _person(text: str) -> str:
    if not is_mail_address(text) and not is_user_name(text):
        raise ValueError(
            f"{text!r} is not a valid person; write an e-mail address, or the name of a user of "
            "the page"
        )
    return text


Words = Annotated[str, BeforeValidator(_in_quotes), Field(min_length=1)]
TitleWords = Annotated[Words, AfterValidator(_folds_to_something)]
SeenWords = Annotated[Words, AfterValidator(_says_something)]
Sender = Annotated[SeenWords, AfterValidator(_sender)]
Party = Annotated[OrganisationNumber, BeforeValidator(_in_quotes)]
ServiceCode = Annotated[str, BeforeValidator(_service_in_quotes), AfterValidator(service_code)]
YesOrNo = Annotated[bool, Strict()]
Person = Annotated[Words, AfterValidator(_person)]
"""A person: an e-mail address, or the name of a user of the page."""


class Row(BaseModel):
    """Base of all rows: frozen, and without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Recipient(Row):
    """`[[recipient]]`: a person, a department or a system, and the destinations that reach it."""

    name: Words
    title: str = ""
    deliver_to: tuple[str, ...] = ()
    """Destinations; `checks` requires at least one."""
    email: Annotated[str, AfterValidator(_mail_address_if_any)] = ""
    deputy: str = ""
    """A recipient, who covers, and who is told of letters that nobody has acknowledged in time."""
    members: tuple[Person, ...] = ()
    """Who acknowledges the recipient's letters, and is reminded of them."""
    manager: Person = ""
    acknowledge_within: WorkingTerm | None = None
    remind_every: WorkingTerm | None = None
    digest: TimeOfDay | None = None
    """When the members are told each working day what waits for them."""
    last_resort: YesOrNo = False
    """Whether this recipient is told of a letter when nobody else has acknowledged it."""


class PartyGroup(Row):
    """`[[party_group]]`: organisations of the business that routes name together."""

    name: SeenWords
    parties: tuple[Party, ...] = ()
    """Organisation numbers; `checks` requires at least one."""


class Conditions(Row):
    """What a letter must be like.

    All conditions that are written must hold; of several values in one condition, any.
    """

    services: tuple[ServiceCode, ...] = ()
    parties: tuple[Party, ...] = ()
    party_name: tuple[SeenWords, ...] = ()
    party_group: tuple[Words, ...] = ()
    senders: tuple[Sender, ...] = ()
    title_contains: tuple[TitleWords, ...] = ()
    title_matches: Annotated[str, AfterValidator(_expression)] | None = None
    case_numbers: tuple[SeenWords, ...] = ()
    senders_reference: tuple[SeenWords, ...] = ()
    language: tuple[SeenWords, ...] = ()
    has_attachments: YesOrNo | None = None
    attachment_types: tuple[SeenWords, ...] = ()
    migrated: YesOrNo | None = None
    due_within: Duration | None = None

    @cached_property
    def written(self) -> tuple[str, ...]:
        """The names of the conditions that are written, in a fixed order."""
        return tuple(
            name for name in Conditions.model_fields if getattr(self, name) not in {None, ()}
        )

    @field_validator(
        "services",
        "parties",
        "party_name",
        "party_group",
        "senders",
        "title_contains",
        "case_numbers",
        "senders_reference",
        "language",
        "attachment_types",
        mode="before",
    )
    @classmethod
    def _not_empty(cls, value: Any) -> Any:
        if value == []:
            raise ValueError(
                "is empty, so no letter can match; write at least one value, or leave the line out"
            )
        return value


class Route(Conditions):
    """`[[route]]`: conditions, and who gets the letters that match them."""

    name: Words
    not_: Conditions | None = Field(default=None, alias="not")
    to: tuple[str, ...] = ()
    copy_to: tuple[str, ...] = ()
    deliver_to: tuple[str, ...] = ()
    mark_read: Policy | None = None
    confirm: Policy | None = None
    keep_body: KeepingTime | None = None
    keep_attachments: KeepingTime | None = None
    keep_metadata: KeepingTime | None = None
    acknowledge_within: WorkingTerm | None = None
    respond_within: WorkingTerm | None = None
    continue_: YesOrNo = Field(default=False, alias="continue")
    enabled: YesOrNo = True
    follow_thread: YesOrNo = False

    @field_validator("not_")
    @classmethod
    def _says_something(cls, value: Conditions | None) -> Conditions | None:
        if value is not None and not value.written:
            raise ValueError("is empty; write at least one condition below it, or leave it out")
        return value

    @property
    def is_catch_all(self) -> bool:
        """Whether every ordinary letter that reaches this route ends here."""
        return self.enabled and not self.continue_ and not self.written and self.not_ is None

    @property
    def is_confidential(self) -> bool:
        """Whether this route appoints recipients for confidential post; it takes nothing else."""
        return CONFIDENTIAL_POST.code in self.services


class Delegation(Row):
    """`[[delegation]]`: one recipient's letters go to another, from the first day to the last.

    Both days are included.
    """

    from_: str = Field(alias="from")
    to: str = ""
    """Empty for the recipient's deputy."""
    starts: Day
    ends: Day
    services: tuple[ServiceCode, ...] = ()
    keep_copy: YesOrNo = False
    reason: str = ""

    def covers(self, day: date, service: str, *, confidential: bool) -> bool:
        """Whether it is active that day for letters of the service.

        For confidential letters this requires that it names confidential post.
        """
        if not self.starts <= day <= self.ends:
            return False
        if confidential:
            return CONFIDENTIAL_POST.code in self.services
        return not self.services or service in self.services
