"""How long each part of a letter is kept, and by which rule. Pure; housekeeping deletes.

The rule of the route that decided comes first, then that of the letter's service, then the general
one; each part of a letter for itself. The active routing table counts, so an edit applies to
stored letters too; a removed route keeps the setting that it had in the table that decided.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from daemon.config.loader import RetentionSettings
from daemon.core.bookkeeping import LetterPart
from daemon.core.durations import FOREVER, duration_text
from daemon.routing.rows import Route
from daemon.routing.table import Table


@dataclass(frozen=True, kw_only=True)
class Keep:
    """How long one part of a letter is kept, and the rule in words."""

    time: timedelta
    rule: str


@dataclass(frozen=True, kw_only=True)
class Retention:
    """The active rules. Create a new one for each run, because it caches its results."""

    settings: RetentionSettings
    table: Table
    past: Callable[[str], Table | None]
    """Returns an earlier routing table by its version; None if it cannot be read any more."""
    _found: dict[tuple[str, str, str], Mapping[LetterPart, Keep]] = field(default_factory=dict)
    _tables: dict[str, Table | None] = field(default_factory=dict)

    def of(self, service: str, version: str, route: str) -> Mapping[LetterPart, Keep]:
        """Return how long letters of a service are kept.

        `route`, of the table with this `version`, decided where they went. Metadata stays as long
        as any other part of the letter, which could not be found without it.
        """
        key = (service, version, route)
        if key not in self._found:
            keeps = {part: self._keep(part, *key) for part in LetterPart}
            keeps[LetterPart.METADATA] = max(reversed(keeps.values()), key=lambda keep: keep.time)
            self._found[key] = keeps
        return self._found[key]

    def shortest(self, versions: Iterable[str]) -> timedelta:
        """Return a time that no rule is shorter than; `versions` are tables with rules of routes.

        So nothing needs to be read of letters that are newer.
        """
        earlier = (self._past(version) for version in versions)
        tables = (self.table, *(table for table in earlier if table))
        rules: list[tuple[str, object]] = [("", self.settings)]
        rules += (("", each) for each in self.settings.service.values())
        rules += (("keep_", route) for table in tables for route in table.routes)
        times = (getattr(each, f"{start}{part}") for start, each in rules for part in LetterPart)
        return min((time for time in times if time is not None), default=FOREVER)

    def _past(self, version: str) -> Table | None:
        if version not in self._tables:
            self._tables[version] = self.past(version)
        return self._tables[version]

    def _keep(self, part: LetterPart, service: str, version: str, name: str) -> Keep:
        return next(
            _keep for _keep in self._said(part, service, version, name) if _keep is not None
        )

    def _said(
        self, part: LetterPart, service: str, version: str, name: str
    ) -> Iterator[Keep | None]:
        """Yield what the rules say, the most specific first; None from one without a setting."""
        route, known = self._route(version, name)
        if not known:
            yield Keep(time=FOREVER, rule=f"route {name!r}, whose table cannot be read: forever")
        if route:
            yield _said(f"route {name!r}", f"keep_{part}", getattr(route, f"keep_{part}"))
        if of_service := self.settings.service.get(service):
            yield _said(f"[retention.service.{service}]", part, getattr(of_service, part))
        yield _said("[retention]", part, getattr(self.settings, part))

    def _route(self, version: str, name: str) -> tuple[Route | None, bool]:
        """Return the route, from the active table or else from the one that decided.

        With it, whether the table that decided could be read, if it was needed.
        """
        now = _named(self.table, name)
        past = self._past(version) if now is None else None
        return now or (_named(past, name) if past else None), bool(now or past)


def _said(where: str, key: str, time: timedelta | None) -> Keep | None:
    return None if time is None else Keep(time=time, rule=f"{where}: {key} = {duration_text(time)}")


def _named(table: Table, name: str) -> Route | None:
    return next((route for route in table.routes if route.name == name), None)
