"""What SQLite keeps of moments and JSON is what SQLAlchemy itself would write."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Column, DateTime, Integer, MetaData, Table, create_engine, insert, text
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlmodel.sql.sqltypes import UTCDateTime

from daemon.store.column_text import json_text, write_moments_fast

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inside: st.lists(inside) | st.tuples(inside) | st.dictionaries(st.text(), inside),
    max_leaves=5,
)


@given(ANY_JSON)
def test_json_is_what_it_was(value: Any) -> None:
    """The same text as the standard library's, also for what is empty in every letter."""
    assert json_text(value) == json.dumps(value)


@given(st.datetimes(timezones=st.just(UTC)))
def test_any_moment_is_what_it_was(moment: datetime) -> None:
    """The same text as SQLAlchemy's, for every moment there is."""
    plain, fast = SQLiteDialect_pysqlite(), SQLiteDialect_pysqlite()
    write_moments_fast(fast)
    written, usual = (DateTime().dialect_impl(each).bind_processor(each) for each in (fast, plain))
    assert written
    assert usual
    assert written is not usual
    assert written(moment) == usual(moment)


def test_moments_are_what_they_were(tmp_path: Path) -> None:
    """The same text in the file, and so the same order, for the first and the last year, with and
    without microseconds, and for none."""
    moments = [
        None,
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(2026, 11, 29, 23, 5, tzinfo=UTC),
        datetime(2026, 3, 12, 9, 46, 5, 7, tzinfo=UTC),
        datetime.max.replace(tzinfo=UTC),
    ]
    written = []
    for fast in (False, True):
        engine = create_engine(f"sqlite:///{tmp_path}/{fast}.db")
        if fast:
            write_moments_fast(engine.dialect)
        table = Table(
            "moments",
            MetaData(),
            Column("id", Integer, primary_key=True),
            Column("at", UTCDateTime()),
        )
        with engine.begin() as connection:
            table.create(connection)
            connection.execute(insert(table), [{"at": each} for each in moments])
            written.append(connection.execute(text("SELECT at FROM moments")).scalars().all())
            assert connection.execute(table.select()).scalars().all() == list(range(1, 6))
            read = [row.at for row in connection.execute(table.select())]
        engine.dispose()
        assert read == moments
    assert written[0] == written[1]
