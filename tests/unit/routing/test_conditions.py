"""What a route asks of a letter, and why a route was passed by."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from daemon.routing.decide import Earlier, decide
from daemon.routing.dryrun import Change, HistoricLetter, compare
from daemon.routing.explain import TriedCondition, explain
from daemon.routing.facts import Facts
from daemon.routing.lint import lint
from daemon.routing.table import Table, parse_table

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
RECIPIENTS = """\
[[recipient]]
name = "lonn"
deliver_to = ["epost"]
deputy = "post"
[[recipient]]
name = "post"
deliver_to = ["erp"]
"""
REST = '[[route]]\nname = "rest"\nto = ["post"]\n'
MATTER = Earlier(
    message="m1",
    thread="case:p:974761076:2026/1234",
    route="first",
    recipients=("lonn",),
    deliver_to=(),
)


def table(rows: str, top: str = "") -> Table:
    return parse_table(top + RECIPIENTS + rows + REST, "routing.toml", ["erp", "epost"])


def route(lines: str, name: str = "first") -> str:
    return f'[[route]]\nname = "{name}"\nto = ["lonn"]\n{lines}\n'


def letter(**changes: Any) -> Facts:
    facts: dict[str, Any] = {
        "service": "4255/8",
        "at": NOW,
        "party": "991825827",
        "sender_org": "974761076",
        "sender_name": "Skatteetaten",
        "title": "Vedtak i sak 2026/1234",
        "reference": "REF-7",
        "language": "nb",
        "attachment_names": ("Vedtak.PDF",),
        "attachment_types": ("application/pdf",),
    }
    return Facts(**(facts | changes))


@pytest.mark.parametrize(
    ("conditions", "changes", "holds"),
    [
        ('services = ["skatter-avgifter", "4255/1"]', {}, True),
        ('parties = ["991825827"]', {}, True),
        ('parties = ["974760673"]', {}, False),
        ('senders = ["974 761 076"]', {}, True),
        ('senders = ["SKATTE*"]', {}, True),
        ('senders = ["skatt"]', {}, False),
        ('senders = ["Ås [k?mmune"]', {"sender_name": "as [k?mmune"}, True),
        ('senders = ["Ås [k?mmune"]', {"sender_name": "as kommune"}, False),
        ('title_contains = ["VEDTAK"]', {}, True),
        ("title_matches = '2026/[0-9]+$'", {}, True),
        ("title_matches = '^vedtak'", {}, False),
        ('case_numbers = ["2026/*"]', {}, True),
        ('case_numbers = ["2026/1234"]', {"title": "x", "summary": "Gjelder 2026/1234-5"}, True),
        (
            'case_numbers = ["*"]',
            {"title": "Frist 21/12, periode 12/2026, skoleåret 2026/27 og 2026/2027"},
            False,
        ),
        ('case_numbers = ["26/123"]', {"title": "Sak 26/123"}, True),
        ('senders_reference = ["ref-*"]', {}, True),
        ('language = ["NB"]', {}, True),
        ("has_attachments = false", {}, False),
        ('attachment_types = ["pdf"]', {}, True),
        ('attachment_types = ["image/*"]', {}, False),
        ('attachment_types = ["image/*"]', {"attachment_types": ("image/png",)}, True),
        ("migrated = false", {}, True),
        ('due_within = "14d"', {}, False),
        ('due_within = "14d"', {"due_at": NOW + timedelta(days=14)}, True),
        ('due_within = "14d"', {"due_at": NOW + timedelta(days=14, seconds=1)}, False),
        ('services = ["4255/8"]\nlanguage = ["en"]', {}, False),
        ('services = ["4255/8"]\n[route.not]\ntitle_contains = ["varsel"]', {}, True),
        ('services = ["4255/8"]\n[route.not]\ntitle_contains = ["vedtak"]', {}, False),
        ('[route.not]\nlanguage = ["en"]\nmigrated = true', {}, True),
        ('[route.not]\nlanguage = ["en"]\nmigrated = false', {}, False),
    ],
)
def test_conditions(conditions: str, changes: dict[str, Any], *, holds: bool) -> None:
    """A route matches if all its conditions hold and none of those under `not` does."""
    decision = decide(table(route(conditions)), letter(**changes))
    assert decision
    assert decision.route == ("first" if holds else "rest")


@pytest.mark.parametrize("confidential", [{"service": "5504/1"}, {}])
def test_confidential_post_meets_no_ordinary_route(confidential: dict[str, str]) -> None:
    """Confidential by its service or by its own word, it goes to the appointed and is covered only
    by a cover that names it."""
    secret = letter(confidential=True, **confidential)
    cover = '[[delegation]]\nfrom = "lonn"\nto = "post"\nstarts = 2026-11-24\nends = 2026-11-24\n'
    appointed = route('services = ["5504/1"]')
    assert decide(table(""), secret) is None
    for covers, recipients in ((cover, ("lonn",)), (cover + 'services = ["5504/1"]\n', ("post",))):
        decision = decide(table(appointed + covers, "follow_thread = true\n"), secret, MATTER)
        assert decision
        assert decision.recipients == recipients
        assert "thread" not in decision.why


def test_a_copy_goes_on_looking() -> None:
    """A route that says `continue` adds its recipients, and the next that matches decides."""
    decision = decide(table(route('services = ["4255/8"]\ncontinue = true')), letter())
    assert decision
    assert (decision.route, decision.recipients) == ("rest", ("post", "lonn"))
    assert decision.destinations == {"erp": ("post",), "epost": ("lonn",)}


def test_a_thread_is_followed() -> None:
    """A letter of a known matter goes to the recipients of the earlier one, with its route's
    policies; if they have left, routes decide."""
    by_table = table(
        route('services = ["4255/1"]\nmark_read = "delivered"'), "follow_thread = true\n"
    )
    by_route = table(route('services = ["4255/1"]\nmark_read = "delivered"\nfollow_thread = true'))
    for followed in (by_table, by_route):
        decision = decide(followed, letter(), MATTER)
        assert decision
        assert (decision.route, decision.recipients, decision.mark_read) == (
            "first",
            ("lonn",),
            "delivered",
        )
        tried = explain(followed, letter(), MATTER).tried
        assert [each.result for each in tried] == ["lost", "overruled"]
    gone = (
        Earlier(message="m1", thread="t", route="first", recipients=("sluttet",), deliver_to=()),
        Earlier(message="m1", thread="t", route="first", recipients=(), deliver_to=("nedlagt",)),
    )
    for earlier in gone:
        decision = decide(by_table, letter(), earlier)
        assert decision
        assert decision.route == "rest"


def test_a_thread_is_of_one_party_and_one_sender() -> None:
    """Two organisations, and two senders, that happen to use the same number do not share a matter;
    nor do senders nobody knows."""
    keys = [
        set(letter(**changes).threads)
        for changes in ({}, {"party": "974760673"}, {"sender_org": "974760673"})
    ]
    assert not keys[0] & keys[1]
    assert not keys[0] & keys[2]
    assert letter(sender_org=None, sender_name="").threads == ()


def test_why_a_route_was_passed_by() -> None:
    """Each route says what it asked for and what the letter has, or that it never came to its
    turn."""
    rows = (
        route('due_within = "14d"', "frist")
        + route("[route.not]\nhas_attachments = true", "uten")
        + route('services = ["5504/1"]', "taushet")
        + route('services = ["4255/7"]\nenabled = false', "av")
        + route('services = ["4255/8"]\nsenders = ["974761076"]', "skatt")
    )
    tried = [
        (each.route, each.result, each.reason) for each in explain(table(rows), letter()).tried
    ]
    assert tried == [
        ("frist", "lost", "the letter must be due within 14d; the letter has no due time"),
        ("uten", "lost", "has_attachments must not be true; the letter has 1 attachment"),
        ("taushet", "lost", "it takes only confidential post"),
        ("av", "not enabled", "enabled = false"),
        ("skatt", "won", "services: 4255/8; senders: 974761076"),
        ("rest", "not reached", "an earlier route decided"),
    ]


def test_an_explanation_is_data_as_well() -> None:
    """What a route asked for and what the letter has are there as values, so that they can be said
    in any language; a route that lost has the condition that decided."""
    rows = (
        route('services = ["4255/7", "4255/9"]', "tjeneste")
        + route('due_within = "14d"', "frist")
        + route("[route.not]\nhas_attachments = true", "uten")
        + route('services = ["5504/1"]', "taushet")
        + route('services = ["4255/8"]\ncontinue = true\n[route.not]\nsenders = ["Nav"]', "kopi")
        + route("enabled = false", "av")
    )
    due = datetime(2026, 12, 1, 12, tzinfo=UTC)
    facts = letter(due_at=due, at=due - timedelta(days=30))
    tried = {each.route: each.conditions for each in explain(table(rows), facts).tried}

    def condition(name: str, wanted: str, has: str, **others: bool) -> TriedCondition:
        values = {"negated": False, "holds": False} | others
        return TriedCondition(
            name=name, wanted=tuple(wanted.split()), has=tuple(has.split("|")), **values
        )

    assert tried == {
        "tjeneste": (condition("services", "4255/7 4255/9", "4255/8"),),
        "frist": (condition("due_within", "14d", "2026-12-01T12:00:00+00:00"),),
        "uten": (condition("has_attachments", "true", "1", negated=True),),
        "taushet": (condition("confidential", "true", "false"),),
        "kopi": (
            condition("services", "4255/8", "4255/8", holds=True),
            condition("senders", "Nav", "974761076|Skatteetaten", negated=True, holds=True),
        ),
        "av": (),
        "rest": (),
    }


def test_a_dry_run_has_samples() -> None:
    """Each move comes with the newest five of its letters, and never with a confidential one."""
    before, after = table(""), table(route('services = ["4255/8"]'))
    letters = [HistoricLetter(message=str(n), facts=letter(title=f"T{n}")) for n in range(7)]
    (move,) = compare(before, after, letters).grouped
    assert (move.before, move.after, move.letters) == (("post (erp)",), ("lonn (epost)",), 7)
    assert [(each.message, each.title) for each in move.samples] == [
        ("6", "T6"),
        ("5", "T5"),
        ("4", "T4"),
        ("3", "T3"),
        ("2", "T2"),
    ]
    appointed = table(route('services = ["5504/1"]'))
    secret = [HistoricLetter(message="1", facts=letter(service="5504/1", confidential=True))]
    (move,) = compare(before, appointed, secret).grouped
    assert (move.letters, move.samples) == (1, ())


def test_a_dry_run_shows_only_what_changes() -> None:
    """It counts every letter and tells those that would go elsewhere, from whom to whom; what the
    sender is told counts too."""
    before, after = table(""), table(route('services = ["4255/8"]\nmark_read = "stored"'))
    letters = [
        HistoricLetter(message="1", facts=letter()),
        HistoricLetter(message="2", facts=letter()),
        HistoricLetter(message="3", facts=letter(service="4255/1")),
    ]
    changes: list[Change] = []
    found = compare(before, after, letters, changes.append)
    assert (found.letters, [each.message for each in changes]) == (3, ["1", "2"])
    assert found.summary == [(("post (erp)",), ("lonn (epost)", "mark_read = stored"), 2)]
    assert compare(before, before, letters).changed == 0


def test_people_nobody_knows() -> None:
    """A member or a manager who is neither an address nor a user is remarked on, and cannot be
    told of letters."""
    rows = (
        '[[recipient]]\nname = "ledig"\ndeliver_to = ["erp"]\nmanager = "sjefen"\n'
        'members = ["Kari", "per@example.no", "olla"]\n'
    )
    remarks = lint(table(rows), destinations=[], matched={}, today=NOW.date(), users=["kari"])
    said = [each.text for each in remarks if "neither" in each.text]
    assert said == [
        f"'{name}' is neither an e-mail address nor a user of the page"
        for name in ("olla", "sjefen")
    ]


def test_remarks() -> None:
    """Routes that took nothing, recipients and destinations nobody uses, and covers that end are
    remarked on; what is meant is not."""
    rows = (
        route('services = ["4255/1"]', "stille")
        + route('services = ["4255/2"]\ncontinue = true', "kopi")
        + '[[recipient]]\nname = "ledig"\ndeliver_to = ["erp"]\n'
        + '[[delegation]]\nfrom = "lonn"\nstarts = 2026-11-01\nends = 2026-11-30\n'
    )
    remarks = lint(
        table(rows), destinations=["erp", "epost", "arkiv"], matched={"rest": 9}, today=NOW.date()
    )
    assert [f"{each.subject}: {each.text}" for each in remarks] == [
        "route 'stille': no letters in the past year",
        "route 'kopi': no letters in the past year",
        "recipient 'ledig': no route uses it",
        "delegation from 'lonn': ends on 2026-11-30",
        "destination 'arkiv': not used by any recipient or route",
    ]
