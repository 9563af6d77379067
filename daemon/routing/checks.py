"""What a table must be beyond its single rows: names that exist, no letter without a route, no route without letters.

Faults keep the table out of force; warnings do not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date

from daemon.dpv import ALL_SERVICES, CONFIDENTIAL_POST
from daemon.faults import FaultList, KeyPath
from daemon.routing.facts import fold
from daemon.routing.rows import Conditions, Delegation, Recipient, Route

Rows = Mapping[int, Route]


def check(
    recipients: Mapping[int, Recipient],
    routes: Rows,
    delegations: Mapping[int, Delegation],
    destinations: Collection[str] | None,
    written: Mapping[str, Sequence[str]],
    faults: FaultList,
) -> None:
    """Note everything that is wrong with the rows; each mapping is from the row's place in the file.

    `written` has the names of recipients and of routes as they stand in the file, also of rows with faults of their own: a mistake in one
    row is not a mistake of those that name it.
    """
    names = written["recipient"]
    _check_unique("recipient", {place: each.name for place, each in recipients.items()}, faults)
    _check_unique("route", {place: each.name for place, each in routes.items()}, faults)
    _check_recipients(recipients, names, destinations, faults)
    for place, route in routes.items():
        _check_route(("route", place), route, names, destinations, faults)
    _check_delegations(delegations, {each.name: each for each in recipients.values()}, names, faults)
    _check_last(routes, written["route"], faults)
    _check_shadows(routes, faults)


def _check_unique(section: str, names: Mapping[int, str], faults: FaultList) -> None:
    seen: set[str] = set()
    for place, name in names.items():
        if name in seen:
            faults.add((section, place, "name"), f"{name!r} is the name of another {section}", "Give each a name of its own")
        seen.add(name)


def _check_recipients(
    recipients: Mapping[int, Recipient], names: Collection[str], destinations: Collection[str] | None, faults: FaultList
) -> None:
    if not names and not faults.faults:
        faults.add(("recipient",), "there is no recipient", "Write at least one: [[recipient]] with a name and deliver_to")
    for place, recipient in recipients.items():
        where: KeyPath = ("recipient", place)
        _all_known((*where, "deliver_to"), recipient.deliver_to, destinations, "destination", faults)
        if recipient.deputy:
            _all_known((*where, "deputy"), [recipient.deputy], names, "recipient", faults)


def _all_known(where: KeyPath, words: Iterable[str], known: Collection[str] | None, what: str, faults: FaultList) -> None:
    for word in words:
        if known is not None and word not in known:
            faults.unknown(where, word, tuple(sorted(known)), what)


def _check_route(where: KeyPath, route: Route, names: Collection[str], destinations: Collection[str] | None, faults: FaultList) -> None:
    _all_known((*where, "to"), route.to, names, "recipient", faults)
    _all_known((*where, "copy_to"), route.copy_to, names, "recipient", faults)
    _all_known((*where, "deliver_to"), route.deliver_to, destinations, "destination", faults)
    if not (route.to or route.copy_to or route.deliver_to):
        faults.add(where, f"the route {route.name!r} sends letters to nobody", 'Write to = ["…"] with the name of a recipient')
    elif not (route.to or route.deliver_to or route.continue_):
        faults.add(where, f"the route {route.name!r} has copies only", "Write to = […] as well, or continue = true to go on looking")
    if route.is_confidential and len(route.services) > 1:
        faults.add(
            (*where, "services"),
            "has confidential post together with ordinary post",
            "Give confidential post a route of its own, so that nobody gets it by accident",
        )
    if route.not_ and CONFIDENTIAL_POST.code in route.not_.services:
        faults.add(
            (*where, "not", "services"),
            "names confidential post, which no ordinary route takes anyway",
            "Leave it out",
        )


def _check_delegations(
    delegations: Mapping[int, Delegation], recipients: Mapping[str, Recipient], names: Collection[str], faults: FaultList
) -> None:
    for place, each in delegations.items():
        where: KeyPath = ("delegation", place)
        _all_known((*where, "from"), [each.from_], names, "recipient", faults)
        if each.to:
            _all_known((*where, "to"), [each.to], names, "recipient", faults)
        elif each.from_ in recipients and not recipients[each.from_].deputy:
            faults.add(where, f"says not who covers for {each.from_!r}", 'Write to = "…", or give the recipient a deputy')
        if each.ends < each.starts:
            faults.add(
                (*where, "ends"), f"{each.ends} is before {each.starts}, the day on which it starts", "Write the last day of the cover"
            )
        if each.from_ == each.to:
            faults.add((*where, "to"), f"{each.to!r} cannot cover for itself", "Write the name of another recipient")
    if not faults.faults:
        _check_circles(delegations, recipients, faults)


def _check_circles(delegations: Mapping[int, Delegation], recipients: Mapping[str, Recipient], faults: FaultList) -> None:
    """Refuse covers that would come back to where they began. A circle can only close on a day on which one of them starts."""
    for place, last in delegations.items():
        for service in last.services or tuple(each.code for each in ALL_SERVICES):
            if _is_circle(last, last.starts, service, list(delegations.values()), recipients):
                faults.add(
                    ("delegation", place),
                    f"from {last.starts} the cover for {last.from_!r} would come back to {last.from_!r}",
                    "Change the dates, or let somebody else cover",
                )
                break


def _is_circle(start: Delegation, day: date, service: str, delegations: list[Delegation], recipients: Mapping[str, Recipient]) -> bool:
    confidential = service == CONFIDENTIAL_POST.code
    in_force = {}
    for each in reversed(delegations):  # of several that cover for the same recipient, the first in the file counts
        if each.covers(day, service, confidential=confidential):
            in_force[each.from_] = each.to or recipients[each.from_].deputy
    name, seen = start.from_, set()
    while name in in_force and name not in seen:
        seen.add(name)
        name = in_force[name]
    return name == start.from_ and bool(seen)


def check_dates(delegations: Mapping[int, Delegation], today: date, faults: FaultList) -> None:
    """Warn of covers that have ended."""
    for place, each in delegations.items():
        if each.ends < today:
            faults.warn(
                ("delegation", place, "ends"), f"the cover for {each.from_!r} ended on {each.ends}", "Remove it, or write a new last day"
            )


def _check_last(routes: Rows, written: Sequence[str], faults: FaultList) -> None:
    if not written:
        if not faults.faults:
            faults.add(("route",), "there is no route", "Write at least a last route without conditions: [[route]] with a name and to")
        return
    place = len(written) - 1
    last = routes.get(place)  # missing if it has faults of its own
    if last and not last.is_catch_all:
        why = _why_not_catch_all(last)
        faults.add(
            ("route", place), f"the last route, {last.name!r}, {why}", "Add a last route without conditions, so that no letter is unrouted"
        )


def _why_not_catch_all(route: Route) -> str:
    if not route.enabled:
        return "is not enabled"
    return "goes on looking, and there is nothing left" if route.continue_ and not route.written else "has conditions"


def _check_shadows(routes: Rows, faults: FaultList) -> None:
    """Refuse a route that can never match because an earlier one takes all that it could take."""
    earlier = _Earlier()
    for place, route in routes.items():
        if not route.enabled:
            continue
        for other in earlier.candidates(route):
            if _takes_all_of(routes[other], route):
                faults.add(
                    ("route", place),
                    f"the route {route.name!r} can never match: {routes[other].name!r}, before it, takes all its letters",
                    f"Move it before {routes[other].name!r}, or remove it",
                )
                break
        if not route.continue_:
            earlier.add(place, route)


class _Earlier:
    """Earlier routes, found by what a route that they shadow must share with them."""

    def __init__(self) -> None:
        self._by_title: dict[str, list[int]] = {}
        self._by_sender: dict[str, list[int]] = {}
        self._rest: list[int] = []

    def add(self, place: int, route: Route) -> None:
        if route.title_contains:
            for words in route.title_contains:
                self._by_title.setdefault(fold(words), []).append(place)
        elif route.senders:
            for sender in route.senders:
                self._by_sender.setdefault(sender, []).append(place)
        else:
            self._rest.append(place)

    def candidates(self, route: Route) -> list[int]:
        found = set(self._rest)
        if route.senders:
            found.update(self._by_sender.get(route.senders[0], ()))
        if route.title_contains:
            words = fold(route.title_contains[0])
            pieces = {words[start:end] for start in range(len(words)) for end in range(start + 1, len(words) + 1)}
            for piece in pieces & self._by_title.keys() if len(pieces) < len(self._by_title) else [w for w in self._by_title if w in words]:
                found.update(self._by_title[piece])
        return sorted(found)


def _takes_all_of(earlier: Route, later: Route) -> bool:
    if earlier.is_confidential != later.is_confidential:
        return False
    if earlier.not_ is not None and earlier.not_ != later.not_:
        return False
    return all(_is_as_strict(name, earlier, later) for name in earlier.written)


def _is_as_strict(name: str, earlier: Conditions, later: Conditions) -> bool:
    """Whether every letter that meets the later route's condition meets the earlier one's."""
    wide, narrow = getattr(earlier, name), getattr(later, name)
    if narrow in (None, ()):
        return False
    if name == "title_contains":
        return all(any(fold(wider) in fold(words) for wider in wide) for words in narrow)
    if name == "due_within":
        return bool(narrow <= wide)
    if isinstance(wide, tuple):
        return set(narrow) <= set(wide)
    return bool(narrow == wide)
