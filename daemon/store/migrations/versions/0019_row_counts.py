"""How many letters and deliveries there are: triggers keep the numbers, so none need be counted."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"

_ONE_MORE = (
    "INSERT INTO row_counts (what, count) VALUES ({what}, 1) "
    "ON CONFLICT (what) DO UPDATE SET count = count + 1"
)
_ONE_LESS = "UPDATE row_counts SET count = count - 1 WHERE what = {what}"
_NEW, _OLD = "'deliveries.' || NEW.state", "'deliveries.' || OLD.state"
_TRIGGERS = {
    "messages_added": ("INSERT ON messages", _ONE_MORE.format(what="'messages'")),
    "messages_removed": ("DELETE ON messages", _ONE_LESS.format(what="'messages'")),
    "deliveries_added": ("INSERT ON deliveries", _ONE_MORE.format(what=_NEW)),
    "deliveries_removed": ("DELETE ON deliveries", _ONE_LESS.format(what=_OLD)),
    "deliveries_changed": (
        "UPDATE OF state ON deliveries WHEN OLD.state IS NOT NEW.state",
        f"{_ONE_LESS.format(what=_OLD)}; {_ONE_MORE.format(what=_NEW)}",
    ),
}


def upgrade() -> None:
    """Create the table and the triggers, and count what is there."""
    op.create_table(
        "row_counts",
        sa.Column("what", sa.String(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("what"),
    )
    op.execute("INSERT INTO row_counts SELECT 'messages', count(*) FROM messages")
    op.execute(
        "INSERT INTO row_counts "
        "SELECT 'deliveries.' || state, count(*) FROM deliveries GROUP BY state"
    )
    if op.get_bind().dialect.name != "sqlite":
        return  # daemon/store/postgresql_schema.py has them
    for name, (event, statements) in _TRIGGERS.items():
        op.execute(f"CREATE TRIGGER {name} AFTER {event} BEGIN {statements}; END")
