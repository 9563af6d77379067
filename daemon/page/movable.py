"""To whom a letter can be moved by hand."""

from __future__ import annotations

from daemon.core.errors import OperatorError
from daemon.core.model import Message
from daemon.page.context import Page
from daemon.page.secret_letters import is_secret
from daemon.routing.table import Table
from daemon.service import stack


def current_table(page: Page) -> Table | None:
    """Return the routing table in force; None if there is none that can be read."""
    try:
        return stack.table_in_force(page.store, page.configuration)
    except OperatorError:
        return None


def recipients_for(table: Table | None, message: Message) -> list[str]:
    """Return who may get the letter: of a confidential one, those whom a route for it names."""
    if table is None:
        return []
    return [name for name in table.recipients if not is_secret(message) or name in table.appointed]
