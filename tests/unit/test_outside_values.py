"""The gate for values from outside, and arithmetic on times that never overflows."""

from __future__ import annotations

import json
import math
import pickle
import sys
import threading
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.core.outside_values import (
    DEEPEST_READ,
    identifier_from,
    is_deeper,
    is_said,
    json_from,
    storable,
    text_from,
    time_if_set,
    whole_number_from,
)
from daemon.core.times import (
    FIRST,
    LAST,
    NORWAY,
    in_norway,
    in_utc,
    norwegian_day,
    shifted,
    written,
)

ANY_TEXT = st.text(
    st.characters(exclude_categories=()), max_size=6
)  # halves of surrogate pairs and NUL too
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda some: st.lists(some, max_size=3) | st.dictionaries(ANY_TEXT, some, max_size=3),
    max_leaves=12,
)
ZONES = st.sampled_from([UTC, timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))])
ANY_TIME = st.datetimes(timezones=ZONES) | st.sampled_from([FIRST, LAST]).flatmap(
    lambda at: ZONES.map(lambda zone: at.replace(tzinfo=zone))
)


def nested(levels: int) -> Any:
    value: Any = 1
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


@given(ANY_JSON)
def test_what_passed_can_be_kept(value: Any) -> None:
    """Every JSON value comes out as one that UTF-8, JSON, pickle and a column of 64 bits hold; and
    what could be kept, as it was."""
    found = storable(value)
    assert json.loads(json.dumps(found, ensure_ascii=False, allow_nan=False).encode()) == found
    assert pickle.loads(pickle.dumps(found)) == found
    assert storable(found) == found


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**63 - 1)
        | st.text(st.characters(codec="utf-8", exclude_characters="\0")),
        lambda some: (
            st.lists(some, max_size=3)
            | st.dictionaries(
                st.text(st.characters(codec="utf-8", exclude_characters="\0")), some, max_size=3
            )
        ),
        max_leaves=8,
    )
)
def test_what_is_as_it_should_be_is_not_touched(value: Any) -> None:
    """The gate changes nothing that every store can hold, on either way through it."""
    assert storable(value) == value
    assert json_from(json.dumps(value)) == value


@pytest.mark.parametrize("levels", [DEEPEST_READ, DEEPEST_READ + 1, 300, 900, 990, 5000, 200_000])
def test_json_of_any_depth_is_read(levels: int) -> None:
    """JSON is read however deep it is, and however deep the caller is; what is beside the deep
    value is untouched."""
    document = (
        '{"before": "[[[{\\"", "deep": '
        + '{"a":[' * levels
        + "1"
        + "]}" * levels
        + ', "after": [[2]]}'
    )
    found: list[Any] = [json_from(document), json_from(document.encode("utf-16"))]
    called_deep(700, lambda: found.append(json_from(document)))
    assert all(each == found[0] for each in found)
    assert (found[0]["before"], found[0]["after"]) == ('[[[{"', [[2]])
    assert is_deeper(found[0], DEEPEST_READ - 1)
    assert not is_deeper(found[0], DEEPEST_READ)


def called_deep(frames: int, call: Any) -> None:
    """Call it far down a stack, in a thread with the usual limit."""

    def down(left: int) -> None:
        down(left - 1) if left else call()

    assert sys.getrecursionlimit() == 1000
    thread = threading.Thread(target=down, args=(frames,))
    thread.start()
    thread.join()


@pytest.mark.parametrize(
    "nonsense",
    [
        "",
        "[",
        "[" * 200_000,
        "]" * 200_000,
        '{"a":' * 200_000,
        "[" * 5000 + "}" * 5000,
        '["' + "[" * 5000,
        b"\xff\xfe\x00",
        "{1:2}",
    ],
)
def test_what_is_no_json_is_a_value_error(nonsense: str | bytes) -> None:
    """Nonsense raises ValueError, as shallow as it is deep, and nothing else."""
    with pytest.raises(ValueError, match=r".") as caught:
        json_from(nonsense)
    assert not isinstance(caught.value, RecursionError)


def test_numbers_and_names_that_cannot_be_kept() -> None:
    """A number that is none, or too large, is kept as text, and so is still said; keys that become
    the same are both kept."""
    found = json_from(
        '{"a": NaN, "b": 1e999, "c": 9223372036854775808, "d": '
        + "9" * 5000
        + ', "\\ud800": 1, "\\udfff": 2, "e": -9223372036854775808}'
    )
    assert found == {
        "a": "NaN",
        "b": "inf",
        "c": "9223372036854775808",
        "d": "9" * 5000,
        "\ufffd": 1,
        "\ufffd (2)": 2,
        "e": -(2**63),
    }
    assert storable([math.nan, 10**6000])[0] == "nan"
    assert text_from("a\ud83d\ude00\0") == "a\ufffd\ufffd\ufffd"
    assert json_from('"\\ud83d\\ude00"') == "\U0001f600"


@pytest.mark.parametrize(
    "value", [2**63, -(2**63) - 1, 10**30, 1.0, math.nan, "1", True, None, [], {}]
)
def test_what_is_no_number_is_none(value: Any) -> None:
    """Only whole numbers of 64 bits are numbers, and only those above zero stand for something
    else."""
    assert whole_number_from(value) is None
    assert identifier_from(value) is None
    assert [identifier_from(each) for each in (0, -1, 1, 2**63 - 1)] == [None, None, 1, 2**63 - 1]


@given(ANY_JSON)
def test_a_flag_is_said_unless_it_is_false_or_nothing(value: Any) -> None:
    """Nothing but a real false and nothing at all switches a guard off, also after the gate."""
    assert is_said(value) == (value is not None and value is not False)
    assert is_said(storable(value)) == is_said(value)


@given(ANY_TIME, st.timedeltas() | st.sampled_from([timedelta.min, timedelta.max]))
def test_times_saturate(moment: datetime, by: timedelta) -> None:
    """Whatever is added to a time, and wherever it is looked at from, is a time; it is the right
    one wherever there is a right one."""
    for found in (
        shifted(moment, by),
        in_utc(moment),
        in_norway(moment),
        in_utc(shifted(moment, by)),
    ):
        assert found.tzinfo
        assert len(written(found, "%Y%m%d-%H%M%S")) == 15
    norwegian_day(moment)
    if 2 <= moment.year <= 9997:
        assert in_utc(moment) == in_norway(moment) == moment
    if timedelta(days=-300_000) < by < timedelta(days=300_000) and 1000 <= moment.year <= 9000:
        assert shifted(moment, by) == moment + by


@given(ANY_TIME)
def test_a_time_that_is_set_is_far_from_the_ends(moment: datetime) -> None:
    """What stands for no time is none, and every other time is the same moment in UTC, which any
    zone can show."""
    found = time_if_set(moment)
    if found is None:
        assert moment.year in {1, 2, 1969, 1970, 9998, 9999}
    else:
        assert found == moment
        assert found.astimezone(NORWAY) == found


@given(ANY_JSON, st.booleans())
def test_what_is_parsed_is_storable(value: Any, ascii_only: bool) -> None:
    """A document gives what the walk through all of its values gives, also where a glance at it
    saves that walk."""
    document = json.dumps(value, ensure_ascii=ascii_only)
    expected = storable(json.loads(document, parse_constant=str))
    assert repr(json_from(document)) == repr(expected)


@pytest.mark.parametrize(
    "document",
    [
        *('{"a":1e999}', '{"a":-1e400}', "[1.5E+400]", "1e400", '{"a": 12345678901234567890}'),
        *('{"a":"\\ud800"}', '{"\\uDFFF":1}', '{"a":"\\u0000"}', '{"a":NaN}', "[-Infinity]"),
        *('["\ud800"]', "[" * 101 + "]" * 101),
    ],
)
def test_what_no_database_holds_is_seen(document: str) -> None:
    """Whatever no database holds is not parsed as it is, wherever it stands."""
    found = json_from(document)
    assert repr(found) != repr(json.loads(document))
    assert repr(found) == repr(storable(found))
