"""Deliveries can be withdrawn: a new value of `deliveries.state`.

The column is a text without a constraint on its values, so the table stays as it is. The number
alone keeps an earlier version, which does not know the state, from opening such a database.
"""

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Change nothing: what was withdrawn before is gone, but for what the decisions say of it."""
