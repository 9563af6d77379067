"""What the routing pages work with: the file, the user's draft, and dry runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from daemon.config.loader import Configuration
from daemon.core.errors import OperatorError
from daemon.core.times import norwegian_day
from daemon.page.editing.draft import Checked, Draft, checked
from daemon.page.editing.past_letters import PastLetters
from daemon.page.editing.publishing import Publisher
from daemon.page.editing.trials import Trials
from daemon.routing.table import Table
from daemon.service.stack import table_of
from daemon.store import Store


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """The parts of the routing pages. May be used from several threads."""

    configuration: Configuration
    store: Store
    clock: Callable[[], datetime]
    publisher: Publisher
    letters: PastLetters
    trials: Trials

    @classmethod
    def open(
        cls, configuration: Configuration, store: Store, clock: Callable[[], datetime]
    ) -> Workshop:
        """Prepare the parts; nothing is read yet."""
        letters = PastLetters(store)
        return cls(
            configuration=configuration,
            store=store,
            clock=clock,
            publisher=Publisher(store, configuration.routing.file, clock),
            letters=letters,
            trials=Trials(letters),
        )

    @property
    def destinations(self) -> list[str]:
        """The names that a table may use."""
        return [each.name for each in self.configuration.destinations]

    def check(self, text: str) -> Checked:
        """Read a table's text with today's destinations and date."""
        return checked(text, self.destinations, norwegian_day(self.clock()))

    def file_text(self) -> str:
        """Return the text of the table's file. Raises OperatorError."""
        try:
            return self.publisher.read().text
        except UnicodeDecodeError as error:
            path = self.configuration.routing.file
            raise OperatorError(f"{path} is not in UTF-8; save it as UTF-8") from error

    def draft(self, user: str) -> Draft:
        """Return the user's draft, or one without a change. Raises OperatorError."""
        if found := self.store.drafts.find(user):
            return Draft(found.base, found.text)
        text = self.file_text()
        return Draft(text, text)

    def keep(self, user: str, draft: Draft) -> None:
        """Keep a user's draft; one without a change is forgotten."""
        if draft.is_changed:
            self.store.drafts.put(user, base=draft.base, text=draft.text, now=self.clock())
        else:
            self.store.drafts.remove(user)

    def present(self, text: str) -> Table:
        """Return the table that a draft is compared with: what the file says.

        If it has errors, that which is in force. Raises OperatorError if there is neither.
        """
        found = self.check(text)
        if found.table is not None:
            return found.table
        active = self.store.queries.table_in_force()
        if active is None:
            raise OperatorError("routing.toml has errors, and no table is in force")
        return table_of(self.store, active.version)

    def text_of(self, version: str) -> str | None:
        """Return the text of a version of the table, or None."""
        active = self.store.queries.table(version)
        return active.text if active else self.store.publications.text(version)
