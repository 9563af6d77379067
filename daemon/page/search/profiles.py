"""What letters are alike in, and which of them a user may see and has asked for."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from daemon.core.rights import Grant
from daemon.page.search import meta
from daemon.page.search.query import FACETS, LetterQuery

_COLUMNS = "number, party, service, sender_org, sender_name, route, recipients, direct, states"


@dataclass(frozen=True, kw_only=True, eq=False)  # one object for each, in sets and mappings
class Profile:
    """What some letters are alike in; `values` has those of each facet, none or several."""

    number: int
    party: str
    service: str
    sender_org: str
    sender_name: str
    route: str
    recipients: tuple[str, ...]
    direct: tuple[str, ...]
    values: Mapping[str, tuple[str, ...]]

    def missed(self, chosen: Sequence[tuple[str, str]]) -> list[str]:
        """Return the facets, of those with a choice, whose chosen value it has not got."""
        return [facet for facet, value in chosen if value not in self.values[facet]]


def chosen(query: LetterQuery) -> list[tuple[str, str]]:
    """Return the chosen values, each with its facet."""
    return [(facet, value) for facet in FACETS if (value := getattr(query, facet))]


def covered(profile: Profile, limits: Sequence[Grant] | None) -> bool:
    """Whether its letters are within the limits: one of the grants covers them."""
    return limits is None or any(
        grant.covers(profile.party, profile.recipients) for grant in limits
    )


class Profiles:
    """The profiles of the index, kept in memory. May be used from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[int, Profile] = {}
        self._last, self._renewed = 0, ""

    def all(self, connection: sqlite3.Connection) -> Mapping[int, Profile]:
        """Return those of the index by number, with those that were added since the last call."""
        with self._lock:
            renewed = meta.get(connection, meta.RENEWED)
            if renewed != self._renewed:
                self._known, self._last, self._renewed = {}, 0, renewed
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM profile WHERE number > ?",  # noqa: S608  # our own names
                [self._last],
            ).fetchall()
            if rows:
                new = {row[0]: _profile(row) for row in rows}
                self._known, self._last = self._known | new, max(new)
            return self._known


def _profile(row: tuple[int, str, str, str, str, str, str, str, str]) -> Profile:
    number, party, service, sender_org, sender_name, route, recipients, direct, states = row
    names = tuple(json.loads(recipients))
    return Profile(
        number=number,
        party=party,
        service=service,
        sender_org=sender_org,
        sender_name=sender_name,
        route=route,
        recipients=names,
        direct=tuple(json.loads(direct)),
        values={
            "service": (service,),
            "sender": (sender_org or sender_name,),
            "route": (route,),
            "recipient": names,
            "party": (party,),
            "state": tuple(json.loads(states)),
        },
    )
