"""What routing keeps, whatever the table and whatever the letter."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daemon.core.errors import ConfigurationError
from daemon.core.folding import fold, fold_whole, is_like
from daemon.routing.conditions import matches
from daemon.routing.decide import Earlier, decide
from daemon.routing.explain import explain
from daemon.routing.facts import Facts
from daemon.routing.spreadsheet.diff import differences, toml_text
from daemon.routing.spreadsheet.reading import read_sheet
from daemon.routing.spreadsheet.table_rows import write_sheet
from daemon.routing.table import Table, parse_table
from tests.unit.routing.random_tables import (
    AWKWARD,
    DESTINATIONS,
    NAMES,
    earlier_letters,
    letters,
    route_rows,
    scanned,
    tables,
)

OFTEN = settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
SOMETIMES = settings(OFTEN, max_examples=25)


@OFTEN
@given(tables(), letters, earlier_letters)
def test_every_letter_goes_somewhere(table: Table, facts: Facts, earlier: Earlier | None) -> None:
    """Every ordinary letter has a destination, and a confidential one if anybody is appointed for
    it; all of them are there."""
    decision = decide(table, facts, earlier)
    if decision is None:
        assert facts.confidential
        assert not scanned(table, facts)
    else:
        assert decision.destinations
        assert set(decision.destinations) <= set(DESTINATIONS)
        assert (
            {name for names in decision.destinations.values() for name in names}
            == set(decision.recipients)
            <= set(NAMES)
        )


@OFTEN
@given(tables(), letters, earlier_letters)
def test_decisions_are_the_same_each_time(
    table: Table, facts: Facts, earlier: Earlier | None
) -> None:
    """Asked again, and of the same table read again, the answer is the same; and what `explain`
    says is what is decided."""
    decision = decide(table, facts, earlier)
    assert decide(table, facts, earlier) == decision
    assert (
        decide(parse_table(table.text, "routing.toml", DESTINATIONS), replace(facts), earlier)
        == decision
    )
    explanation = explain(table, facts, earlier)
    assert explanation.decision == decision
    held = [each.route for each in explanation.tried if each.result in {"won", "copy", "overruled"}]
    assert held == [route.name for route in _until_decided(scanned(table, facts))]


def _until_decided(routes: list[Any]) -> list[Any]:
    decided = next(
        (number for number, route in enumerate(routes) if not route.continue_), len(routes)
    )
    return routes[: decided + 1]


@OFTEN
@given(tables(), letters, st.randoms(use_true_random=False))
def test_the_order_inside_a_route_does_not_count(table: Table, facts: Facts, chance: Any) -> None:
    """Conditions and actions in another order, and the values of a condition too, decide the
    same."""
    rows = table.rows
    for row in rows["route"]:
        for key, value in list(row.items()):
            if isinstance(value, list) and key not in {"to", "copy_to", "deliver_to"}:
                chance.shuffle(value)
    shuffled = [dict(chance.sample(list(row.items()), len(row))) for row in rows["route"]]
    other = parse_table(toml_text({**rows, "route": shuffled}), "routing.toml", DESTINATIONS)
    one, two = decide(table, facts), decide(other, facts)
    assert (one is None) == (two is None)
    if one and two:
        assert (one.route, one.recipients, one.destinations, one.mark_read) == (
            two.route,
            two.recipients,
            two.destinations,
            two.mark_read,
        )


@OFTEN
@given(tables(), letters.map(lambda facts: replace(facts, confidential=True)), earlier_letters)
def test_confidential_post_reaches_nobody_else(
    table: Table, facts: Facts, earlier: Earlier | None
) -> None:
    """Only those whom a route for confidential post names get it, and those whom a cover for
    confidential post names in their place."""
    decision = decide(table, facts, earlier)
    if decision is None:
        return
    routes = [route for route in table.routes if route.is_confidential and route.enabled]
    allowed = {name for route in routes for name in (*route.to, *route.copy_to)}
    covers = [
        each
        for each in table.delegations
        if each.starts <= facts.day <= each.ends and each.services == ("5504/1",)
    ]
    for _ in covers:
        allowed |= {each.to for each in covers if each.from_ in allowed}
    assert set(decision.recipients) <= allowed
    assert set(decision.chosen) <= table.appointed
    assert set(decision.direct) <= {name for route in routes for name in route.deliver_to}


@OFTEN
@given(tables(), letters)
def test_the_index_changes_nothing(table: Table, facts: Facts) -> None:
    """The routes that the index leaves out do not match; looking at every route finds the same ones
    in the same order."""
    found = [route for route in table.candidates(facts) if matches(route, facts)]
    assert found == scanned(table, facts)


@OFTEN
@given(st.lists(route_rows, min_size=2, max_size=4), st.lists(letters, min_size=5, max_size=5))
def test_a_shadowed_route_never_matches(
    rows: list[dict[str, Any]], some_letters: list[Facts]
) -> None:
    """A route that is refused because an earlier one takes all its letters is never the first to
    match."""
    values = {
        "recipient": [{"name": name, "deliver_to": ["erp"]} for name in NAMES],
        "route": [{"name": f"rute {number}", **row} for number, row in enumerate(rows)]
        + [{"name": "rest", "to": ["post"]}],
    }
    try:
        parse_table(toml_text(values), "routing.toml", DESTINATIONS)
    except ConfigurationError as error:
        shadowed = {fault.key for fault in error.faults if "can never match" in fault.problem}
    else:
        return
    table = parse_table(toml_text(values), "routing.toml", None)
    for facts in some_letters:
        reached = {
            f"route[{table.routes.index(route) + 1}]"
            for route in _until_decided(scanned(table, facts))
        }
        assert not reached & shadowed


@SOMETIMES
@pytest.mark.parametrize(("ending", "language"), [(".csv", ""), (".xlsx", "en"), (".xlsx", "nb")])
@given(table=tables())
def test_to_a_spreadsheet_and_back(
    tmp_path_factory: pytest.TempPathFactory, ending: str, language: str, table: Table
) -> None:
    """A table that goes to a spreadsheet, in any language, comes back with the same rows."""
    path = tmp_path_factory.mktemp("sheet") / f"table{ending}"
    write_sheet(table, path, language)
    back = read_sheet(path, DESTINATIONS).table
    assert back.rows == table.rows
    assert differences(table, back) == []


@OFTEN
@given(tables(), tables())
def test_a_difference_is_never_left_out(one: Table, two: Table) -> None:
    """Two tables without a difference have the same rows; and what TOML says of a table is that
    table."""
    assert (differences(one, two) == []) == (one.rows == two.rows)
    assert parse_table(toml_text(one.rows), "routing.toml", DESTINATIONS).rows == one.rows


@SOMETIMES
@given(st.text(max_size=20), st.text("aA*bé ", max_size=6))
def test_comparing_is_blind_to_case_and_accents(text: str, pattern: str) -> None:
    """Folded text stays as it is, and * in a pattern stands for anything, as a plain reading of it
    says."""
    assert fold(fold(text)) == fold(text)
    whole = fold_whole(text)
    assert is_like(whole, "*")
    assert is_like(whole, f"{text.replace('*', '')}*") == whole.startswith(
        fold(text.replace("*", "")).lstrip()
    )
    assert is_like(fold_whole(pattern.replace("*", "xyz")), pattern)


def test_awkward_words_survive_a_spreadsheet(tmp_path: Path) -> None:
    """Words that a spreadsheet would make a formula, a date or a number of come back as they
    were."""
    rows = {
        "recipient": [{"name": "post", "deliver_to": ["erp"]}],
        "route": [
            {"name": word, "title_contains": list(AWKWARD), "to": ["post"], "enabled": False}
            for word in AWKWARD
        ]
        + [{"name": "rest", "to": ["post"]}],
    }
    table = parse_table(toml_text(rows), "routing.toml", DESTINATIONS)
    for name in ("t.csv", "t.xlsx"):
        write_sheet(table, tmp_path / name)
        assert read_sheet(tmp_path / name, DESTINATIONS).table.rows == table.rows
