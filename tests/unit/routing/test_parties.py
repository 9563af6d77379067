"""Routes that name organisations of the business: by what they are called, and by groups."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.core.errors import ConfigurationError
from daemon.core.folding import fold
from daemon.routing.decide import decide
from daemon.routing.dryrun import HistoricLetter, compare
from daemon.routing.explain import TriedCondition, explain
from daemon.routing.facts import Facts
from daemon.routing.lint import lint
from daemon.routing.spreadsheet.diff import differences, toml_text
from daemon.routing.spreadsheet.diff_text import difference_lines
from daemon.routing.spreadsheet.reading import read_sheet
from daemon.routing.spreadsheet.table_rows import write_sheet
from daemon.routing.table import Table, parse_table
from tests.unit.routing.books import edited

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
BAKERY, BANK = "974761076", "991825827"
DESTINATIONS = ["erp"]
names = st.text(
    st.sampled_from("aÅåéﬁßİ*?[]\\ \u00ad\u200b\u00a0.AS"), min_size=1, max_size=12
).filter(lambda text: bool(fold(text).strip()))


def rows(*conditions: dict[str, Any], groups: dict[str, list[str]] | None = None) -> Table:
    recipients = [{"name": "post", "deliver_to": ["erp"]}, {"name": "kunde", "deliver_to": ["erp"]}]
    routes = [{"name": f"r{n}", "to": ["kunde"], **each} for n, each in enumerate(conditions)]
    values = {
        "recipient": recipients,
        "route": [*routes, {"name": "rest", "to": ["post"]}],
        "party_group": [{"name": n, "parties": each} for n, each in (groups or {}).items()],
    }
    return parse_table(toml_text(values), "routing.toml", DESTINATIONS)


def letter(party: str = BAKERY, name: str = "Nordre Bakeri AS", **more: Any) -> Facts:
    return Facts(service="4255/8", at=NOW, party=party, party_name=name, **more)


def route_of(table: Table, facts: Facts) -> str:
    decision = decide(table, facts)
    assert decision
    return decision.route


@pytest.mark.parametrize(
    ("pattern", "name", "holds"),
    [
        ("nordre*", "Nordre Bakeri AS", True),
        ("NORDRE BAKERI AS", "Nordre\u00a0Bakeri  AS", True),
        ("nordre", "Nordre Bakeri AS", False),
        ("Ås [k?mmune", "as [k?mmune", True),
        ("Ås [k?mmune", "as kommune", False),
        ("x*", "", False),
    ],
)
def test_by_name(pattern: str, name: str, holds: bool) -> None:
    """A name is compared as people do; only `*` stands for anything, and no name is no match."""
    table = rows({"party_name": [pattern]})
    assert (route_of(table, letter(name=name)) == "r0") is holds


@given(name=names)
def test_a_name_finds_itself(name: str) -> None:
    """Whatever an organisation is called, its own name as a condition holds, also in capitals and
    with something behind it for a `*`; the index leaves no route out."""
    for pattern, called in ((name, name), (name, name.upper()), (f"{name}*", f"{name} NUF")):
        facts = letter(name=called)
        table = rows({"party_name": [pattern]})
        found = route_of(table, facts) == "r0"
        without_index = next(each for each in explain(table, facts).tried if each.route == "r0")
        assert found == (without_index.result == "won")
        assert found or fold(called) != fold(pattern)


def test_by_group() -> None:
    """A group takes its organisations and no other, under `not` too; a letter may be in several."""
    groups = {"mat": [BAKERY], "alle": [BAKERY, BANK]}
    table = rows({"party_group": ["mat"]}, groups=groups)
    assert [route_of(table, letter(each)) for each in (BAKERY, BANK, "")] == ["r0", "rest", "rest"]
    without = rows({"party_group": ["alle"], "not": {"party_group": ["mat"]}}, groups=groups)
    assert [route_of(without, letter(each)) for each in (BAKERY, BANK)] == ["rest", "r0"]


def test_why() -> None:
    """The explanation names the group's condition and the groups that the letter's party is in."""
    table = rows(
        {"party_group": ["bank"]},
        {"party_name": ["Bank*"]},
        groups={"mat": [BAKERY], "bank": [BANK]},
    )
    first, second, _ = explain(table, letter()).tried
    assert first.reason == "the party must be in the group bank; the letter has mat"
    assert second.reason == "the party's name must be Bank*; the letter has Nordre Bakeri AS"
    assert second.conditions == (
        TriedCondition(
            name="party_name",
            negated=False,
            wanted=("Bank*",),
            has=("Nordre Bakeri AS",),
            holds=False,
        ),
    )


def test_a_table_from_before_explains_by_its_own_groups() -> None:
    """Groups belong to the table, so an edit of a group changes no explanation by the old one, and
    a dry run shows which letters the edit moves."""
    before = rows({"party_group": ["mat"]}, groups={"mat": [BAKERY]})
    after = rows({"party_group": ["mat"]}, groups={"mat": [BANK]})
    decided = before.grouped(letter())
    assert (route_of(before, decided), route_of(after, decided)) == ("r0", "rest")
    found = compare(before, after, [HistoricLetter(message="m", facts=letter())])
    assert found.changed == 1
    lines = difference_lines(differences(before, after))
    assert lines == [f'~ party_group "mat": parties: "{BAKERY}" -> "{BANK}"']


@pytest.mark.parametrize(
    ("conditions", "groups", "problem"),
    [
        ({"party_group": ["mta"]}, {"mat": [BAKERY]}, "'mta' is not a known party_group"),
        ({"not": {"party_group": ["x"]}}, {}, "'x' is not a known party_group"),
        ({}, {"mat": []}, "the group 'mat' has no organisation"),
        ({}, {"mat": ["123456789"]}, "not a valid organisation number"),
        ({"party_name": ["\u00ad"]}, {}, "has no visible characters"),
    ],
)
def test_mistakes(conditions: dict[str, Any], groups: dict[str, list[str]], problem: str) -> None:
    """A group that is not there, or has nobody, is refused with what to do."""
    with pytest.raises(ConfigurationError, match=problem):
        rows({"services": ["4255/8"], **conditions}, groups=groups)


def test_two_groups_of_one_name() -> None:
    """They would be told apart by nothing."""
    text = rows(groups={"mat": [BAKERY]}).text
    double = f'{text}\n[[party_group]]\nname = "mat"\nparties = ["{BANK}"]\n'
    with pytest.raises(ConfigurationError, match="already used by another party_group"):
        parse_table(double, "routing.toml", DESTINATIONS)


def test_lint_names_groups_without_use() -> None:
    """A group that no route names is pointed out; one under `not` is used."""
    groups = {"mat": [BAKERY], "bank": [BANK]}
    table = rows({"services": ["4255/8"], "not": {"party_group": ["mat"]}}, groups=groups)
    remarks = lint(table, destinations=DESTINATIONS, matched={"r0": 1}, today=NOW.date())
    assert [each.subject for each in remarks if "group" in each.subject] == ["party_group 'bank'"]


@pytest.mark.parametrize("name", ["ark.xlsx", "ark.csv"])
@pytest.mark.parametrize("language", ["nb", "en"])
def test_through_a_spreadsheet(tmp_path: Path, name: str, language: str) -> None:
    """Groups and their conditions come back as they were."""
    table = rows(
        {"party_group": ["mat, drikke"], "not": {"party_name": ["=1+1"]}},
        groups={"mat, drikke": [BAKERY, BANK]},
    )
    write_sheet(table, tmp_path / name, language)
    assert read_sheet(tmp_path / name, DESTINATIONS).table.rows == table.rows


def test_a_workbook_from_before_groups(tmp_path: Path) -> None:
    """A workbook that was exported before there were groups has no sheet for them, and is read."""
    table = rows({"services": ["4255/8"]})
    path = edited(table, tmp_path / "ark.xlsx", lambda book: book.remove(book["Groups"]))
    assert read_sheet(path, DESTINATIONS).table.rows == table.rows
