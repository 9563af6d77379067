"""Routing tables and letters at random, for promises that hold whatever an administrator writes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from daemon.core.dpv import CONFIDENTIAL_POST, DPV_SERVICES
from daemon.core.errors import ConfigurationError
from daemon.routing.conditions import matches
from daemon.routing.decide import Earlier
from daemon.routing.facts import Facts
from daemon.routing.rows import Route
from daemon.routing.spreadsheet.diff import toml_text
from daemon.routing.table import Table, parse_table
from daemon.routing.validation.senders import why_never_a_sender

DESTINATIONS = ("erp", "epost", "arkiv")
NAMES = ("lønn", "regnskap", "post", "SANN")
SERVICES = [service.code for service in DPV_SERVICES[6:9]]
ORGANISATIONS = ("974761076", "974760673")
TITLES = (
    "Vedtak om MVA",
    "vedtak",
    "Lønnsoppgave for 2026/123",
    "sak 26/4567",
    "  ",
    "RÉSUMÉ ™",
    "",
)
GROUPS = ("bakerier", "[Ås] *?", "=1+1")
PARTY_NAMES = ("", "Nordre Bakeri AS", "ÅS [kommune]", "ﬁ * ?", "Stra\u00dfe")
PARTY_PATTERNS = ("nordre*", "*", "ås [KOMMUNE]", "FI *", "strasse", "\u00ad*AS", "=1+1")
SENDERS = ("Skatteetaten", "Ås [kommune]", "NAV", "")
AWKWARD = (
    "=1+1",
    "1/2",
    "des 2026",
    "00123",
    '"sitat"',
    " rom ",
    "+47",
    "-x",
    "@navn",
    "linje\nskift",
    "1E5",
    "2026/*",
    "_x0041_",
    "ﬁ",
    "12345678901",
)

words = st.one_of(
    st.sampled_from(("mva", "vedtak", "VEDTAK om", "2026", "é", "t")), st.sampled_from(AWKWARD)
).filter(str.strip)
patterns = st.one_of(
    st.sampled_from(ORGANISATIONS),
    st.sampled_from(("skatt*", "*", "*KOMMUNE]", "Skatteetaten", "s*a*n", "nav")),
    # a number that is not an organisation number is refused as a sender
    st.sampled_from([word for word in AWKWARD if why_never_a_sender(word) is None]),
)
ordinary = st.lists(st.sampled_from(SERVICES), min_size=1, max_size=2, unique=True)


def some(values: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(values, min_size=1, max_size=2)


CONDITIONS: dict[str, st.SearchStrategy[Any]] = {
    "services": ordinary,
    "parties": some(st.sampled_from(ORGANISATIONS)),
    "party_name": some(st.sampled_from(PARTY_PATTERNS)),
    "party_group": some(st.sampled_from(GROUPS)),
    "senders": some(patterns),
    "title_contains": some(words),
    "title_matches": st.sampled_from(("(?i)vedtak", "[0-9]+", "^V", "a|é")),
    "case_numbers": some(st.sampled_from(("2026/123", "26/*", "*"))),
    "senders_reference": some(st.sampled_from(("ref-1", "REF*", "00123"))),
    "language": some(st.sampled_from(("nb", "EN"))),
    "has_attachments": st.booleans(),
    "attachment_types": some(st.sampled_from(("pdf", "*.PDF", "image/*"))),
    "migrated": st.booleans(),
    "due_within": st.sampled_from(("14d", "90s", "12h")),
}
recipients = st.sampled_from(NAMES)
actions: dict[str, st.SearchStrategy[Any]] = {
    "copy_to": some(recipients),
    "deliver_to": some(st.sampled_from(DESTINATIONS)),
    "mark_read": st.sampled_from(("never", "stored", "delivered")),
    "confirm": st.sampled_from(("never", "stored")),
    "keep_body": st.sampled_from(("0d", "3650d", "forever")),
    "keep_attachments": st.sampled_from(("30d", "forever")),
    "keep_metadata": st.sampled_from(("3650d", "forever")),
    "acknowledge_within": st.sampled_from(("2wd", "8h")),
    "respond_within": st.sampled_from(("21d", "15wd")),
    "continue": st.booleans(),
    "enabled": st.booleans(),
    "follow_thread": st.booleans(),
    "not": st.fixed_dictionaries({}, optional=CONDITIONS).filter(bool),
}
route_rows = st.fixed_dictionaries({"to": some(recipients)}, optional=CONDITIONS | actions)
confidential_rows = st.fixed_dictionaries(
    {"to": some(recipients), "services": st.just([CONFIDENTIAL_POST.code])},
    optional=actions | {"title_contains": some(words)},
)
people = st.sampled_from(("kari@example.no", "ola", "Åse.Ås", "12345678901"))
acknowledging = st.fixed_dictionaries(
    {},
    optional={
        "members": st.lists(people, min_size=1, max_size=2),
        "manager": people,
        "acknowledge_within": st.sampled_from(("2wd", "8h")),
        "remind_every": st.sampled_from(("1wd", "90m")),
        "digest": st.sampled_from(("07:30", "00:00")),
    },
)
days = st.dates(date(2026, 12, 28), date(2027, 1, 3))
delegation_rows = st.fixed_dictionaries(
    {"from": recipients, "to": recipients, "starts": days, "ends": days},
    optional={
        "services": st.one_of(ordinary, st.just([CONFIDENTIAL_POST.code])),
        "keep_copy": st.booleans(),
        "reason": st.sampled_from(("ferie", *AWKWARD)),
    },
)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """A table without a fault: rows that cannot stand together are left out."""
    recipient_rows: list[dict[str, Any]] = [
        {
            "name": name,
            "deliver_to": draw(some(st.sampled_from(DESTINATIONS))),
            "title": draw(st.sampled_from(("", "Avdeling", *AWKWARD))),
            **draw(acknowledging),
            "deputy": draw(st.sampled_from([each for each in NAMES if each != name])),
        }
        for name in NAMES
    ]
    if draw(st.booleans()):
        recipient_rows[0] |= {"last_resort": True, "members": ["ola"]}
    routes = [
        {"name": f"rute {number}", **row}
        for number, row in enumerate(draw(st.lists(route_rows | confidential_rows, max_size=6)))
    ]
    last = {"name": "Alt annet", "to": ["post"]}
    delegations = draw(st.lists(delegation_rows, max_size=5))
    values = {
        "follow_thread": draw(st.booleans()),
        "recipient": recipient_rows,
        "route": [*routes, last],
        "delegation": delegations,
        "party_group": [
            {"name": name, "parties": draw(some(st.sampled_from(ORGANISATIONS)))} for name in GROUPS
        ],
    }
    return _without_faults(values)


def _without_faults(values: dict[str, Any]) -> Table:
    while True:
        try:
            return parse_table(toml_text(values), "routing.toml", DESTINATIONS)
        except ConfigurationError as error:
            for kind, number in sorted(set(_places(error)), reverse=True):
                del values[kind][number]


def _places(error: ConfigurationError) -> Iterator[tuple[str, int]]:
    for fault in error.faults:
        kind, _, rest = fault.key.partition("[")
        yield kind, int(rest.partition("]")[0]) - 1


# hypothesis adds the zone
moments = st.datetimes(datetime(2026, 12, 27), datetime(2027, 1, 5), timezones=st.just(UTC))  # noqa: DTZ001
letters = st.builds(
    Facts,
    service=st.sampled_from(SERVICES),
    at=moments,
    party=st.sampled_from(("", *ORGANISATIONS)),
    party_name=st.sampled_from(PARTY_NAMES),
    sender_org=st.sampled_from((None, *ORGANISATIONS)),
    sender_name=st.sampled_from(SENDERS),
    title=st.sampled_from((*TITLES, *AWKWARD)),
    reference=st.sampled_from(("", "REF-1", "00123")),
    language=st.sampled_from(("nb", "en", "")),
    attachment_names=st.sampled_from(((), ("Vedtak.PDF",), ("bilde", "kart.png"))),
    attachment_types=st.sampled_from(((), ("image/png",))),
    migrated=st.booleans(),
    due_at=st.none() | moments.map(lambda moment: moment + timedelta(days=7)),
    confidential=st.booleans(),
) | st.builds(
    Facts, service=st.just(CONFIDENTIAL_POST.code), at=moments, confidential=st.just(True)
)
earlier_letters = st.none() | st.builds(
    Earlier,
    message=st.just("m"),
    thread=st.just("case:974761076:974761076:2026/123"),
    route=st.sampled_from(("rute 0", "rute 1", "(operator)", "borte")),
    recipients=st.lists(st.sampled_from((*NAMES, "sluttet")), max_size=2).map(tuple),
    deliver_to=st.lists(st.sampled_from((*DESTINATIONS, "nedlagt")), max_size=1).map(tuple),
)


def scanned(table: Table, facts: Facts) -> list[Route]:
    """The routes that match, by looking at every one of them."""
    grouped = table.grouped(facts)
    return [route for route in table.routes if route.enabled and matches(route, grouped)]
