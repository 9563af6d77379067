"""Checks of a table beyond its single rows.

Names must exist, every letter must have a route, and every route must be able to get letters.
Faults keep the table from becoming active; warnings do not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date

from daemon.config.faults import FaultList, KeyPath
from daemon.core.dpv import CONFIDENTIAL_POST
from daemon.routing.rows import Delegation, Recipient, Route
from daemon.routing.validation.cycles import check_circles
from daemon.routing.validation.senders import why_never_a_sender
from daemon.routing.validation.shadowing import check_shadows


def check(
    recipients: Mapping[int, Recipient],
    routes: Mapping[int, Route],
    delegations: Mapping[int, Delegation],
    destinations: Collection[str],
    written: Mapping[str, Sequence[str]],
    faults: FaultList,
) -> None:
    """Record everything that is wrong with the rows.

    Each mapping is from the row's place in the file. `written` has the names of recipients and
    routes as they stand in the file, including those of rows with faults: a mistake in one row is
    not a mistake of the rows that name it.
    """
    names = written["recipient"]
    _check_unique("recipient", {place: each.name for place, each in recipients.items()}, faults)
    _check_unique("route", {place: each.name for place, each in routes.items()}, faults)
    _check_recipients(recipients, names, _asked(recipients, routes), destinations, faults)
    for place, route in routes.items():
        _check_route(("route", place), route, names, destinations, faults)
    _check_delegations(
        delegations, {each.name: each for each in recipients.values()}, names, faults
    )
    _check_last(routes, written["route"], faults)
    check_shadows(routes, faults)


def _check_unique(section: str, names: Mapping[int, str], faults: FaultList) -> None:
    seen: set[str] = set()
    for place, name in names.items():
        if name in seen:
            faults.add(
                (section, place, "name"),
                f"{name!r} is already used by another {section}",
                "Give each a unique name",
            )
        seen.add(name)


def _check_recipients(
    recipients: Mapping[int, Recipient],
    names: Collection[str],
    asked: Collection[str],
    destinations: Collection[str],
    faults: FaultList,
) -> None:
    if not names and not faults.faults:
        faults.add(
            ("recipient",),
            "at least one recipient is required",
            "Add a section [[recipient]] with a name and deliver_to",
        )
    _check_last_resort(recipients, faults)
    for place, recipient in recipients.items():
        where: KeyPath = ("recipient", place)
        _warn_of_nobody_to_tell(where, recipient, faults)
        if recipient.remind_every and recipient.name not in asked:
            faults.warn(
                (*where, "remind_every"),
                f"the letters of {recipient.name!r} need not be acknowledged, so nobody is told "
                "again",
                "Add acknowledge_within to the recipient or to a route, or leave remind_every out",
            )
        if not recipient.deliver_to:
            remedy = (
                'Add deliver_to = ["…"]; configured destinations: '
                f"{', '.join(sorted(destinations)) or 'none'}"
            )
            faults.add(where, f"the recipient {recipient.name!r} has no destination", remedy)
        _all_known(
            (*where, "deliver_to"), recipient.deliver_to, destinations, "destination", faults
        )
        if recipient.deputy == recipient.name:
            faults.add(
                (*where, "deputy"),
                f"{recipient.name!r} cannot cover for itself",
                "Use another recipient",
            )
        elif recipient.deputy:
            _all_known((*where, "deputy"), [recipient.deputy], names, "recipient", faults)


def _asked(recipients: Mapping[int, Recipient], routes: Mapping[int, Route]) -> set[str]:
    """Return the recipients of whom some letters are to be acknowledged in time."""
    own = {each.name for each in recipients.values() if each.acknowledge_within}
    of_routes = ((*each.to, *each.copy_to) for each in routes.values() if _asks(each, own))
    return own.union(*of_routes)


def _asks(route: Route, asking: Collection[str]) -> bool:
    named = (*route.to, *route.copy_to)
    return route.acknowledge_within is not None or any(each in asking for each in named)


def _check_last_resort(recipients: Mapping[int, Recipient], faults: FaultList) -> None:
    chosen = {place: each for place, each in recipients.items() if each.last_resort}
    for place in list(chosen)[1:]:
        faults.add(
            ("recipient", place, "last_resort"),
            f"{chosen[place].name!r} is the second recipient with last_resort = true",
            "Choose one, and remove the line from the others",
        )
    for place, each in chosen.items():
        if not (each.members or each.manager or each.email):
            faults.add(
                ("recipient", place, "last_resort"),
                f"{each.name!r} is the last resort, and has nobody who can be told",
                "Give it members",
            )


def _warn_of_nobody_to_tell(where: KeyPath, recipient: Recipient, faults: FaultList) -> None:
    if recipient.acknowledge_within and not (recipient.members or recipient.email):
        faults.warn(
            (*where, "acknowledge_within"),
            f"{recipient.name!r} has no members, so nobody is asked to acknowledge its letters",
            "Give it members",
        )
    if recipient.digest and not recipient.members:
        faults.warn(
            (*where, "digest"),
            f"{recipient.name!r} has no members, so nobody gets its digest",
            "Give it members",
        )


def _all_known(
    where: KeyPath, words: Iterable[str], known: Collection[str], what: str, faults: FaultList
) -> None:
    for word in words:
        if word not in known:
            faults.unknown(where, word, tuple(sorted(known)), what)


def _check_route(
    where: KeyPath,
    route: Route,
    names: Collection[str],
    destinations: Collection[str],
    faults: FaultList,
) -> None:
    _all_known((*where, "to"), route.to, names, "recipient", faults)
    _all_known((*where, "copy_to"), route.copy_to, names, "recipient", faults)
    _all_known((*where, "deliver_to"), route.deliver_to, destinations, "destination", faults)
    if not (route.to or route.copy_to or route.deliver_to):
        faults.add(
            where,
            f"the route {route.name!r} has no recipient",
            'Add to = ["…"] with the name of a recipient',
        )
    elif not (route.to or route.deliver_to or route.continue_):
        faults.add(
            where,
            f"the route {route.name!r} only makes copies",
            'Add to = ["…"], or continue = true so that later routes are tried',
        )
    _check_confidential(where, route, faults)
    _warn_of_senders((*where, "senders"), route.senders, faults)
    if route.not_:
        _warn_of_senders((*where, "not", "senders"), route.not_.senders, faults)


def _warn_of_senders(where: KeyPath, senders: Iterable[str], faults: FaultList) -> None:
    """Warn of senders that no letter can have.

    They are no fault, because a table that was accepted once must not stop the service.
    """
    for number, sender in enumerate(senders):
        if why := why_never_a_sender(sender):
            faults.warn((*where, number), *why)


def _check_confidential(where: KeyPath, route: Route, faults: FaultList) -> None:
    if route.is_confidential and len(route.services) > 1:
        faults.add(
            (*where, "services"),
            "mixes confidential and ordinary post",
            "Use a separate route for confidential post, so that no one gets it by accident",
        )
    if route.not_ and CONFIDENTIAL_POST.code in route.not_.services:
        faults.add(
            (*where, "not", "services"),
            "names confidential post, which ordinary routes never take",
            "Remove it",
        )


def _check_delegations(
    delegations: Mapping[int, Delegation],
    recipients: Mapping[str, Recipient],
    names: Collection[str],
    faults: FaultList,
) -> None:
    for place, each in delegations.items():
        where: KeyPath = ("delegation", place)
        _all_known((*where, "from"), [each.from_], names, "recipient", faults)
        if each.from_ == each.to:
            faults.add(
                (*where, "to"),
                f"{each.to!r} cannot cover for itself",
                "Use another recipient",
            )
        elif each.to:
            _all_known((*where, "to"), [each.to], names, "recipient", faults)
        elif each.from_ in recipients and not recipients[each.from_].deputy:
            faults.add(
                where,
                f"does not say who covers for {each.from_!r}",
                'Add to = "…", or give the recipient a deputy',
            )
        if each.ends < each.starts:
            faults.add(
                (*where, "ends"),
                f"{each.ends} is before {each.starts}, the first day",
                "Correct the first or the last day",
            )
    if not faults.faults:
        check_circles(delegations, recipients, faults)


def check_dates(delegations: Mapping[int, Delegation], today: date, faults: FaultList) -> None:
    """Warn of covers that have ended."""
    for place, each in delegations.items():
        if each.ends < today:
            faults.warn(
                ("delegation", place, "ends"),
                f"the cover for {each.from_!r} ended on {each.ends}",
                "Remove it, or change its last day",
            )


def _check_last(routes: Mapping[int, Route], written: Sequence[str], faults: FaultList) -> None:
    if not written:
        if not faults.faults:
            faults.add(
                ("route",),
                "at least one route is required",
                "Add a last route without conditions: [[route]] with a name and to",
            )
        return
    place = len(written) - 1
    too_early = [each for each in routes if each < place and routes[each].is_catch_all]
    for each in too_early:
        problem = (
            f"the route {routes[each].name!r} has no conditions and is not the last, so no "
            "ordinary letter reaches the routes after it"
        )
        faults.add(("route", each), problem, "Move it to the end")
    last = routes.get(place)  # missing if it has faults of its own
    if last and not last.is_catch_all and not too_early:
        problem = f"the last route, {last.name!r}, {_why_not_catch_all(last)}"
        faults.add(
            ("route", place),
            problem,
            "Add a last route without conditions, so that every letter is routed",
        )


def _why_not_catch_all(route: Route) -> str:
    if not route.enabled:
        return "is disabled"
    return (
        "has continue = true, but no route follows"
        if route.continue_ and not route.written
        else "has conditions"
    )
