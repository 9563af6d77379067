"""The ladder: who is told when, for any table, whatever lies between."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.core.awaited import LadderStep
from daemon.core.times import NORWAY
from daemon.core.working_days import term
from daemon.routing.ladder import MOST_ROUNDS, Directory, Plan, Taken, WaitingLetter, plan
from daemon.routing.table import Table, parse_table

TABLE = """
[[recipient]]
name = "lonn"
deliver_to = ["erp"]
deputy = "okonomi"
members = ["kari@example.no"]
manager = "leder@example.no"
acknowledge_within = "2wd"
[[recipient]]
name = "okonomi"
deliver_to = ["erp"]
members = ["ola@example.no"]
[[recipient]]
name = "post"
deliver_to = ["erp"]
members = ["post@example.no"]
last_resort = true
[[route]]
name = "Alt annet"
to = ["lonn"]
"""
DEPUTY, MANAGER, LAST_RESORT, KEEPERS, REJECTED = LadderStep
NOBODY_LEFT = Directory(addresses={})


def table(text: str = TABLE) -> Table:
    return parse_table(text, "routing.toml", None)


def here(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=NORWAY)


def waiting(begun: datetime, within: str = "2wd", **changes: object) -> WaitingLetter:
    values: dict[str, object] = {
        "begun_at": begun,
        "within": term(within),
        "recipients": ("lonn",),
        "service": "4255/8",
        "confidential": False,
    }
    return WaitingLetter(**{**values, **changes})  # type: ignore[arg-type]


def climbed(
    letter: WaitingLetter, table: Table, directory: Directory = NOBODY_LEFT, *, looks: int = 500
) -> list[tuple[datetime, LadderStep, int, tuple[str, ...]]]:
    """Everything that is told if the ladder is looked at whenever it asks for that."""
    told: list[tuple[datetime, LadderStep, int, tuple[str, ...]]] = []
    taken: dict[LadderStep, Taken] = {}
    now: datetime | None = letter.begun_at
    for _ in range(looks):
        assert now is not None
        found = plan(letter, taken, table, directory, now)
        for due in found.due:
            told.append((now, due.step, due.round, tuple(due.people.values())))
            first = taken[due.step].first_at if due.step in taken else now
            taken[due.step] = Taken(first_at=first, last_at=now, rounds=due.round + 1)
        if found.look_at is None:
            return told
        assert found.look_at > now
        now = found.look_at
    raise AssertionError("the ladder does not end")


@pytest.mark.parametrize(
    ("begun", "steps"),
    [
        # over a weekend
        ("2026-11-26 14:30", ["2026-11-30 14:30", "2026-12-02 14:30", "2026-12-04 14:30"]),
        # over Easter and to summer time
        ("2027-03-23 09:15", ["2027-03-30 09:15", "2027-04-01 09:15", "2027-04-05 09:15"]),
        # over 1 May, a Friday, and a weekend
        ("2026-04-29 09:15", ["2026-05-04 09:15", "2026-05-06 09:15", "2026-05-08 09:15"]),
        # over 17 May
        ("2027-05-13 16:00", ["2027-05-18 16:00", "2027-05-20 16:00", "2027-05-24 16:00"]),
    ],
)
def test_steps_fall_on_the_right_hour(begun: str, steps: list[str]) -> None:
    """Members and deputy, manager, last resort: each after two working days, at the same hour."""
    told = climbed(waiting(here(begun)), table())
    assert [(each, step) for each, step, _, _ in told] == list(
        zip(map(here, steps), (DEPUTY, MANAGER, LAST_RESORT), strict=True)
    )
    assert [people for *_, people in told] == [
        ("kari@example.no", "ola@example.no"),
        ("leder@example.no",),
        ("post@example.no",),
    ]


def test_hours_go_by_the_clock() -> None:
    """Eight hours are eight hours, also over a change of the clock."""
    told = climbed(waiting(here("2027-03-27 22:00"), "8h"), table())
    assert told[0][0] == here("2027-03-28 07:00")


def test_a_late_look_gives_everybody_their_time() -> None:
    """After a week of standstill the deputy is told, and the manager two working days later."""
    letter = waiting(here("2026-11-23 10:00"))
    late = here("2026-12-07 10:00")
    found = plan(letter, {}, table(), NOBODY_LEFT, late)
    assert [each.step for each in found.due] == [DEPUTY]
    taken = {DEPUTY: Taken(first_at=late, last_at=late, rounds=1)}
    assert plan(letter, taken, table(), NOBODY_LEFT, late) == Plan(
        due=(), look_at=here("2026-12-09 10:00")
    )


def test_covers_are_followed() -> None:
    """Whoever covers is asked instead of the one who is away, that day."""
    text = (
        TABLE + '[[delegation]]\nfrom = "lonn"\nto = "post"\nstarts = 2026-11-01\nends = 2026-12-31'
    )
    told = climbed(waiting(here("2026-11-26 14:30")), table(text))
    assert told[0][3] == ("post@example.no",)


def test_people_are_told_again() -> None:
    """Every working day until somebody answers, and not for ever."""
    text = TABLE.replace('within = "2wd"', 'within = "2wd"\nremind_every = "1wd"')
    told = climbed(waiting(here("2026-11-26 14:30")), table(text))
    counted = Counter(step for _, step, _, _ in told)
    assert counted == dict.fromkeys((DEPUTY, MANAGER, LAST_RESORT), MOST_ROUNDS)
    assert [moment for moment, step, turn, _ in told if (step, turn) == (DEPUTY, 1)] == [
        here("2026-12-01 14:30")
    ]


def test_who_left_is_not_told() -> None:
    """A disabled user is left out, by name or address, and the next step takes the place."""
    gone = Directory(addresses={}, left=frozenset({"kari@example.no", "ola@example.no"}))
    told = climbed(waiting(here("2026-11-26 14:30")), table(), gone)
    assert told[0][:2] == (here("2026-11-30 14:30"), MANAGER)


def test_a_rejected_letter_goes_to_who_keeps_the_table() -> None:
    """At once, and nobody of the recipient is told again."""
    at = here("2026-11-26 15:00")
    keepers = Directory(
        addresses={"ruth@example.no": "ruth@example.no"}, keepers=("ruth@example.no",)
    )
    letter = waiting(here("2026-11-26 14:30"), rejected_at=at)
    assert [each[1:] for each in climbed(letter, table(), keepers)] == [
        (REJECTED, 0, ("ruth@example.no",))
    ]
    assert [each[1:] for each in climbed(letter, table())] == [(REJECTED, 0, ("post@example.no",))]


NAMES = ("a", "b", "c", "d")
PEOPLE = ("kari@example.no", "ola@example.no", "per", "ruth@example.no")
rows = st.fixed_dictionaries(
    {},
    optional={
        "members": st.lists(st.sampled_from(PEOPLE), min_size=1, max_size=3),
        "deputy": st.sampled_from(NAMES),
        "manager": st.sampled_from(PEOPLE),
        "remind_every": st.sampled_from(("1wd", "90m", "1d")),
        "email": st.just("felles@example.no"),
    },
)
covers = st.fixed_dictionaries(
    {"from": st.sampled_from(NAMES), "to": st.sampled_from(NAMES)},
    optional={"keep_copy": st.booleans()},
)
directories = st.builds(
    Directory,
    addresses=st.sampled_from(({}, {"per": "per@example.no"})),
    left=st.frozensets(st.sampled_from((*PEOPLE, "per@example.no"))),
    keepers=st.sampled_from(((), ("ruth@example.no",))),
)
moments = st.datetimes(datetime(2026, 11, 1), datetime(2027, 6, 1), timezones=st.just(UTC))  # noqa: DTZ001


@st.composite
def any_tables(draw: st.DrawFn) -> Table:
    """Recipients with deputies and covers at random, circles among them."""
    from daemon.routing.spreadsheet.diff import toml_text

    recipients: list[dict[str, object]] = [
        {"name": name, "deliver_to": ["erp"], **draw(rows)} for name in NAMES
    ]
    if draw(st.booleans()):
        recipients[-1]["last_resort"] = True
    days = {"starts": datetime(2026, 1, 1).date(), "ends": datetime(2028, 1, 1).date()}  # noqa: DTZ001
    values: dict[str, Any] = {
        "recipient": recipients,
        "route": [{"name": "Alt annet", "to": ["a"]}],
        "delegation": [{**each, **days} for each in draw(st.lists(covers, max_size=4))],
    }
    return parse_table(toml_text(values), "routing.toml", None)  # an old table: not checked


@given(any_tables(), directories, moments, st.sampled_from(("2wd", "8h", "1m")), st.booleans())
@settings(deadline=None)
def test_any_ladder_ends_and_tells_somebody_who_is_there(
    table: Table, directory: Directory, begun: datetime, within: str, rejected: bool
) -> None:
    """Whatever the table: it ends, nobody is told early, twice in a round, or after they left, and
    if anybody at all can be told, somebody is."""
    letter = waiting(
        begun, within, recipients=("a", "gone"), rejected_at=begun if rejected else None
    )
    told = climbed(letter, table, directory)
    assert len(told) == len({(step, turn) for _, step, turn, _ in told})
    first = begun if rejected else letter.within.after(begun)
    for moment, _, _, people in told:
        assert moment >= first
        assert people
        assert len(set(people)) == len(people)
        assert not directory.left & {each.lower() for each in people}
    reachable = [directory.address(each) for each in directory.keepers]
    reachable += [
        directory.address(who)
        for each in table.recipients.values()
        if each.last_resort
        for who in each.members
    ]
    if any(reachable):
        assert told


def test_a_clock_that_goes_back_and_forth_tells_nobody_early() -> None:
    """By pure decisions: before the time nothing is due, whatever was looked at meanwhile."""
    letter = waiting(here("2026-11-26 14:30"))
    due = here("2026-11-30 14:30")
    for days in (-30, -1, 0):
        found = plan(letter, {}, table(), NOBODY_LEFT, due + timedelta(days=days, seconds=-1))
        assert found == Plan(due=(), look_at=due)
    assert plan(letter, {}, table(), NOBODY_LEFT, due).due
