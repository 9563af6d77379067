"""Whether a second person must approve a table before it is published. Pure."""

from __future__ import annotations

from typing import Any

from daemon.core.accounts import ChangeSource
from daemon.routing.table import Table


def needs_second_person(
    approvals: int, source: ChangeSource, before: Table, after: Table | None
) -> bool:
    """Whether it must, where `approvals` others are asked for.

    A table that was in force before may be rolled back to at once, unless that changes who gets
    confidential post.
    """
    if not approvals:
        return False
    if source is not ChangeSource.ROLLBACK or after is None:
        return True
    return _guarded(before) != _guarded(after)


def _guarded(table: Table) -> tuple[Any, ...]:
    """Return what decides who gets confidential post: its routes, whom they name, and covers."""
    routes = [each for each in table.routes if each.is_confidential]
    named, more = set[str](), {name for each in routes for name in (*each.to, *each.copy_to)}
    while more:
        named |= more
        more = {each for name in more for each in _stand_ins(table, name)} - named
    recipients = {name: table.recipients.get(name) for name in sorted(named)}
    return routes, recipients, [each for each in table.delegations if each.from_ in named]


def _stand_ins(table: Table, name: str) -> set[str]:
    """Return who may get a recipient's letters instead."""
    recipient = table.recipients.get(name)
    deputy = recipient.deputy if recipient else None
    covers = {each.to for each in table.delegations if each.from_ == name}
    return {each for each in (deputy, *covers) if each}
