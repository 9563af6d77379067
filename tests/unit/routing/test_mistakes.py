"""What an administrator is told after a typical mistake: the whole text, for it is the manual that
gets read."""

# each message stands in one line, as it is printed

from __future__ import annotations

from datetime import date

import pytest

from daemon.core.errors import ConfigurationError
from daemon.routing.table import parse_table, read_table

POST = '[[recipient]]\nname = "post"\ndeliver_to = ["erp"]\n'
LONN = '[[recipient]]\nname = "lonn"\ndeliver_to = ["erp-epost"]\n'
REST = '[[route]]\nname = "Alt annet"\nto = ["post"]\n'
DESTINATIONS = ["erp", "erp-epost"]


def route(lines: str, name: str = "Skatt", to: str = 'to = ["lonn"]') -> str:
    return f'[[route]]\nname = "{name}"\n{lines}\n{to}\n'


def table(rows: str) -> str:
    return POST + LONN + rows + REST


def cover(one: str, other: str, starts: str = "2026-12-21", ends: str = "2027-01-03") -> str:
    return f'[[delegation]]\nfrom = "{one}"\nto = "{other}"\nstarts = {starts}\nends = {ends}\n'


MISTAKES: dict[str, tuple[str, str]] = {
    "a condition that does not exist": (
        table(route('sevices = ["4255/8"]')),
        (
            "routing.toml:9: route[1].sevices: 'sevices' is not a known key here. Did you mean "
            "'services'?"
        ),
    ),
    "a service that does not exist": (
        table(route('services = ["4255/18"]')),
        (
            "routing.toml:9: route[1].services[1]: '4255/18' is not a known service. Did you "
            "mean '4255/8'?"
        ),
    ),
    "a service with a typing mistake": (
        table(route('services = ["skatt-avgifter"]')),
        (
            "routing.toml:9: route[1].services[1]: 'skatt-avgifter' is not a known "
            "service. Did you mean 'skatter-avgifter'?"
        ),
    ),
    "a service as a number": (
        table(route("services = [4255]")),
        (
            "routing.toml:9: route[1].services[1]: 4255 is a number, not a service. Write code "
            'and edition in quotes, such as "4255/8"'
        ),
    ),
    "a service without a list": (
        table(route('services = "4255/8"')),
        'routing.toml:9: route[1].services: must be a list. Write it in brackets: ["…", "…"]',
    ),
    "a recipient without a list": (
        table(route('services = ["4255/8"]', to='to = "lonn"')),
        'routing.toml:10: route[1].to: must be a list. Write it in brackets: ["…", "…"]',
    ),
    "an organisation as a number": (
        table(route("senders = [974761076]")),
        (
            "routing.toml:9: route[1].senders[1]: 974761076 is a number. Write it as text "
            'in quotes: "974761076"'
        ),
    ),
    "an organisation with a wrong digit": (
        table(route('senders = ["974761077"]')),
        (
            "routing.toml:9: route[1].senders[1]: '974761077' is not a valid organisation "
            "number. It has nine digits, and the last is a check digit"
        ),
    ),
    "a case number as a number": (
        table(route("case_numbers = [2026]")),
        (
            "routing.toml:9: route[1].case_numbers[1]: 2026 is a number. Write it as text "
            'in quotes: "2026"'
        ),
    ),
    "an empty list": (
        table(route("senders = []")),
        (
            "routing.toml:9: route[1].senders: is empty, so no letter can match. Write at "
            "least one value, or leave the line out"
        ),
    ),
    "a title of accents only": (
        table(route('title_contains = [" "]')),
        (
            "routing.toml:9: route[1].title_contains[1]: ' ' matches every title. Write a word, or "
            "leave it out"
        ),
    ),
    "a regular expression that is none": (
        table(route("title_matches = '(mva'")),
        (
            "routing.toml:9: route[1].title_matches: is not a supported regular expression: "
            "missing ): (mva. Look-around and back references are not possible"
        ),
    ),
    "a regular expression that takes too long": (
        table(route("title_matches = '(?=mva)'")),
        (
            "routing.toml:9: route[1].title_matches: is not a supported regular expression: "
            "invalid perl operator: (?=. Look-around and back references are not possible"
        ),
    ),
    "true in quotes": (
        table(route('has_attachments = "true"')),
        (
            "routing.toml:9: route[1].has_attachments: must be true or false. Write true or "
            "false, without quotes"
        ),
    ),
    "a length of time without a unit": (
        table(route("due_within = 14")),
        (
            "routing.toml:9: route[1].due_within: is not a valid duration. Write a whole "
            'number and s, m, h or d, such as "5m"'
        ),
    ),
    "a policy that does not exist": (
        table(route('services = ["4255/8"]\nmark_read = "always"')),
        (
            "routing.toml:10: route[1].mark_read: 'always' is not a valid value here. Use one of: "
            "'never', 'stored', 'delivered' or 'acknowledged'"
        ),
    ),
    "a recipient that does not exist": (
        table(route('services = ["4255/8"]', to='to = ["lønn"]')),
        "routing.toml:10: route[1].to: 'lønn' is not a known recipient. Did you mean 'lonn'?",
    ),
    "a destination that does not exist": (
        (POST + LONN + REST).replace('"erp-epost"', '"erp-post"'),
        (
            "routing.toml:6: recipient[2].deliver_to: 'erp-post' is not a known "
            "destination. Did you mean 'erp-epost'?"
        ),
    ),
    "a recipient without a destination": (
        '[[recipient]]\nname = "post"\n' + REST,
        (
            "routing.toml:1: recipient[1]: the recipient 'post' has no destination. Add "
            'deliver_to = ["…"]; configured destinations: erp, erp-epost'
        ),
    ),
    "two recipients of one name": (
        POST + POST + REST,
        (
            "routing.toml:5: recipient[2].name: 'post' is already used by another "
            "recipient. Give each a unique name"
        ),
    ),
    "two routes of one name": (
        table(route('services = ["4255/8"]') + route('services = ["4255/7"]')),
        (
            "routing.toml:12: route[2].name: 'Skatt' is already used by another route. "
            "Give each a unique name"
        ),
    ),
    "a route to nobody": (
        table(route('services = ["4255/8"]', to="")),
        (
            "routing.toml:7: route[1]: the route 'Skatt' has no recipient. Add to = [\"…\"] "
            "with the name of a recipient"
        ),
    ),
    "copies only": (
        table(route('services = ["4255/8"]', to='copy_to = ["lonn"]')),
        (
            "routing.toml:7: route[1]: the route 'Skatt' only makes copies. Add to = "
            '["…"], or continue = true so that later routes are tried'
        ),
    ),
    "an empty not": (
        table(route('services = ["4255/8"]') + "[route.not]\n"),
        (
            "routing.toml:11: route[1].not: is empty. Write at least one condition below it, or "
            "leave it out"
        ),
    ),
    "confidential post with other post": (
        table(route('services = ["5504/1", "4255/8"]')),
        (
            "routing.toml:9: route[1].services: mixes confidential and ordinary post. Use "
            "a separate route for confidential post, so that no one gets it by accident"
        ),
    ),
    "confidential post under not": (
        table(route('services = ["4255/8"]') + '[route.not]\nservices = ["5504/1"]\n'),
        (
            "routing.toml:12: route[1].not.services: names confidential post, which "
            "ordinary routes never take. Remove it"
        ),
    ),
    "a shadowed route": (
        table(
            route('title_contains = ["mva"]', "Avgift")
            + route('title_contains = ["mva-melding"]\nservices = ["4255/8"]')
        ),
        (
            "routing.toml:11: route[2]: the route 'Skatt' can never match: the earlier "
            "route 'Avgift' takes all its letters. Move it before 'Avgift', or remove it"
        ),
    ),
    "an empty table": (
        "",
        (
            "routing.toml: recipient: at least one recipient is required. Add a section "
            "[[recipient]] with a name and deliver_to"
        ),
    ),
    "no route": (
        POST,
        (
            "routing.toml: route: at least one route is required. Add a last route without "
            "conditions: [[route]] with a name and to"
        ),
    ),
    "no catch-all": (
        POST + LONN + route('services = ["4255/8"]'),
        (
            "routing.toml:7: route[1]: the last route, 'Skatt', has conditions. Add a last route "
            "without conditions, so that every letter is routed"
        ),
    ),
    "a catch-all that is not last": (
        POST + LONN + REST + route('services = ["4255/8"]'),
        (
            "routing.toml:7: route[1]: the route 'Alt annet' has no conditions and is not "
            "the last, so no ordinary letter reaches the routes after it. Move it to the "
            "end"
        ),
    ),
    "a catch-all that goes on": (
        POST + REST + "continue = true\n",
        (
            "routing.toml:4: route[1]: the last route, 'Alt annet', has continue = true, "
            "but no route follows. Add a last route without conditions, so that every letter "
            "is routed"
        ),
    ),
    "a catch-all that is not enabled": (
        POST + REST + "enabled = false\n",
        (
            "routing.toml:4: route[1]: the last route, 'Alt annet', is disabled. Add a "
            "last route without conditions, so that every letter is routed"
        ),
    ),
    "days in the wrong order": (
        table(cover("lonn", "post", "2027-01-03", "2026-12-21")),
        (
            "routing.toml:11: delegation[1].ends: 2026-12-21 is before 2027-01-03, the "
            "first day. Correct the first or the last day"
        ),
    ),
    "a date in quotes": (
        table(cover("lonn", "post", '"2026-12-21"')),
        (
            "routing.toml:10: delegation[1].starts: must be a date. Write a date without "
            "quotes, such as 2026-12-21"
        ),
    ),
    "a date with a time": (
        table(cover("lonn", "post", "2026-12-21T08:00:00")),
        (
            "routing.toml:10: delegation[1].starts: must be a date. Write a date without "
            "quotes, such as 2026-12-21"
        ),
    ),
    "a date as Norwegians write it": (
        table(cover("lonn", "post", "21.12.2026")),
        (
            "routing.toml:10: this is not valid TOML: expected newline or end of document after a "
            "statement. Write a date with the year first: 2026-12-21"
        ),
    ),
    "a cover for oneself": (
        table(cover("lonn", "lonn")),
        ("routing.toml:9: delegation[1].to: 'lonn' cannot cover for itself. Use another recipient"),
    ),
    "a cover by somebody unknown": (
        table(cover("lonn", "pots")),
        "routing.toml:9: delegation[1].to: 'pots' is not a known recipient. Did you mean 'post'?",
    ),
    "a cover by nobody": (
        table('[[delegation]]\nfrom = "lonn"\nstarts = 2026-12-21\nends = 2027-01-03\n'),
        (
            "routing.toml:7: delegation[1]: does not say who covers for 'lonn'. Add to = "
            '"…", or give the recipient a deputy'
        ),
    ),
    "a circle of covers": (
        table(cover("lonn", "post") + cover("post", "lonn", "2026-12-24", "2026-12-24")),
        (
            "routing.toml:12: delegation[2]: circular cover from 2026-12-24: 'lonn' to "
            "'post' to 'lonn'. Change the days, or choose another cover"
        ),
    ),
    "a circle that closes when a cover ends": (
        table(
            cover("lonn", "kari", ends="2026-12-24")
            + cover("lonn", "post")
            + cover("post", "lonn")
            + POST.replace("post", "kari")
        ),
        (
            "routing.toml:17: delegation[3]: circular cover from 2026-12-25: 'lonn' to "
            "'post' to 'lonn'. Change the days, or choose another cover"
        ),
    ),
    "a section that does not exist": (
        table("[[recipients]]\nname = 'x'\n"),
        (
            "routing.toml:7: recipients: 'recipients' is not a known section. Did you mean "
            "'recipient'?"
        ),
    ),
    "a section in single brackets": (
        POST + REST.replace("[[route]]", "[route]"),
        "routing.toml:4: route: must be a list of sections. Write it in double brackets: [[route]]",
    ),
    "a missing quote": (
        table(route('services = ["4255/8]')),
        (
            "routing.toml:9: this is not valid TOML: illegal character '\\n'. Look for a "
            "missing quote, bracket or equals sign in or just before this line"
        ),
    ),
    "follow_thread in quotes": (
        'follow_thread = "yes"\n' + POST + REST,
        (
            "routing.toml:1: follow_thread: must be true or false. Write true or false, "
            "without quotes"
        ),
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_a_mistake_is_told(mistake: str) -> None:
    """Each fault says the line, the key, the offending words, and what to write instead; one
    mistake is one fault."""
    text, told = MISTAKES[mistake]
    with pytest.raises(ConfigurationError) as caught:
        parse_table(text, "routing.toml", DESTINATIONS)
    assert str(caught.value) == told


def test_several_mistakes_are_told_at_once() -> None:
    """All mistakes are reported at once, in the order of the file's checks."""
    text = table(
        route('services = ["4255/18"]')
        + route("senders = [1]", "Lønn", 'to = ["lon"]')
        + cover("lonn", "pots")
    )
    with pytest.raises(ConfigurationError) as caught:
        parse_table(text, "routing.toml", DESTINATIONS)
    assert [fault.key for fault in caught.value.faults] == [
        "route[1].services[1]",
        "route[2].senders[1]",
        "delegation[1].to",
    ]


def test_a_table_of_the_past_is_not_judged_again() -> None:
    """A table that was in force can be read although a destination has gone and a check has become
    stricter since."""
    text = POST.replace("erp", "nedlagt") + route('services = ["4255/8"]', to='to = ["post"]')
    assert parse_table(text, "table 0123", None).routes[0].name == "Skatt"


def test_a_cover_that_has_ended_is_a_warning(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A cover whose last day is over keeps no table out of force; the table says where it stands
    and when it ended."""
    path = tmp_path_factory.mktemp("table") / "routing.toml"
    path.write_text(table(cover("lonn", "post")), encoding="utf-8")
    assert read_table(path, DESTINATIONS, today=date(2027, 1, 3)).warnings == ()
    (warning,) = read_table(path, DESTINATIONS, today=date(2027, 1, 4)).warnings
    assert str(warning) == (
        f"{path}:11: delegation[1].ends: the cover for 'lonn' ended on 2027-01-03. Remove it, or "
        "change its last day"
    )
