"""What is tested of the store is tested on SQLite and on PostgreSQL, or it is said why not."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.unit.conftest import ROOT

_UNIT = ROOT / "tests" / "unit"
_FOLDERS_ABOVE = ("page", "service")
"""What they test asks the store as its own tests do."""
_STORE = ("store", "database_url", "database_in", "database")
_MARK = "pytest" + ".mark.both_databases"
_FILE = "about SQLite's file, or files beside it"
_OWN = "makes PostgreSQL's databases itself"
_NO_SQL = "about content, locks or settings, and asks the database nothing"
_ABOVE = "about what is above the store, whose own tests run on both"
ONE_DATABASE = {
    **dict.fromkeys(
        (
            *("test_busy", "test_closed_secrets", "test_copying"),
            *("test_database", "test_earlier_backup", "test_evidence", "test_evidence_edits"),
            *("test_evidence_elsewhere", "test_evidence_pdf", "test_long_walks"),
            *("test_old_store", "test_steady_reads"),
        ),
        _FILE,
    ),
    **dict.fromkeys(
        (
            *("test_alerts_of_nodes", "test_alerts_that_grow", "test_nodes", "test_postgresql"),
            *("test_store_move", "test_turns", "test_column_text", "test_duty_of_a_command"),
            *("test_migrations", "test_server_tls", "test_standby"),
        ),
        _OWN,
    ),
    **dict.fromkeys(("test_content", "test_content_settings", "test_lock"), _NO_SQL),
    **dict.fromkeys(
        (
            *("bell/test_dialog_rounds", "test_abreast", "test_alerts_over_a_stop", "test_api"),
            *("test_api_description", "test_backdated", "test_belonging", "test_connector_faults"),
            *("test_consumer", "test_dispatch", "test_export", "test_file_kinds"),
            *(
                "test_fork_server",
                "test_intake",
                "test_intake_channels",
                "test_intake_confidential",
            ),
            *(
                "test_intake_trouble",
                "test_local_deliveries",
                "test_lost_database",
                "test_mail_round",
            ),
            *("test_monitoring_activity", "test_not_here", "test_notices", "test_page_check"),
            *("test_pickup_watch", "test_poison", "test_poll_interval", "test_unit_lines"),
            *("test_wake", "test_worker_pool", "test_worker_process"),
        ),
        _ABOVE,
    ),
}
"""Modules that use the store and run on one database, and why. One that tests SQL of its own does
not belong here."""


def _uses_store(tree: ast.Module) -> bool:
    """Whether a module imports the store, or its tests and fixtures ask for one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("daemon.store"):
            return True
        if isinstance(node, ast.FunctionDef) and any(
            each.arg in _STORE for each in node.args.args + node.args.kwonlyargs
        ):
            return True
    return False


def _name(path: Path) -> str:
    return str(path.relative_to(_UNIT).with_suffix(""))


def test_each_module_runs_on_both_or_says_why_not() -> None:
    """A module that uses the store is marked `both_databases`, it or some of its tests, or stands
    above with the reason; and none that is marked, or is gone, stands there."""
    one = set()
    for path in sorted(_UNIT.rglob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        is_above = path.parent.name in _FOLDERS_ABOVE or path.parent.parent.name in _FOLDERS_ABOVE
        if not is_above and _uses_store(ast.parse(text)) and _MARK not in text:
            one.add(_name(path))
    assert one == set(ONE_DATABASE)
