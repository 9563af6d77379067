"""The routing table on the page: read, edited with its effect, published, and rolled back."""

from __future__ import annotations

from starlette.routing import Route

from daemon.page.views.routing import (
    activating,
    approvals,
    history,
    proposals,
    publishing,
    rows,
    sheets,
    table,
    trying,
)
from daemon.page.views.routing.shared import explained


def routes() -> list[Route]:
    """Return the addresses."""
    shown = (
        ("/routing", table.show),
        ("/routing/recipients", table.show),
        ("/routing/covers", table.show),
        ("/routing/groups", table.show),
        ("/routing/new", rows.new),
        ("/routing/history", history.show),
        ("/routing/history/{version}", history.show_version),
        ("/routing/approvals", approvals.show),
        ("/routing/approvals/{number}", approvals.show_one),
        ("/routing/proposals", proposals.show),
        ("/routing/import", sheets.form),
        ("/routing/export.xlsx", sheets.export_sheet),
        ("/routing/try/{trial}", trying.look_again),
        ("/routing/in-force/{version}", activating.in_force),
    )
    found = [Route(address, explained(view)) for address, view in shown]
    found.append(Route("/routing/import", sheets.import_sheet, methods=["POST"]))
    for address, view in (
        ("/routing/new", rows.save),
        ("/routing/change", table.change),
        ("/routing/discard", table.discard),
        ("/routing/rebase", table.rebase),
        ("/routing/try", trying.try_edit),
        ("/routing/publish", publishing.publish),
        ("/routing/rollback", publishing.roll_back),
        ("/routing/proposals/{key}/accept", proposals.accept),
        ("/routing/proposals/{key}/dismiss", proposals.dismiss),
        ("/routing/approvals/{number}/approve", approvals.approve),
        ("/routing/approvals/{number}/decline", approvals.decline),
        ("/routing/approvals/{number}/withdraw", approvals.withdraw),
    ):
        found.append(Route(address, view, methods=["POST"]))
    for place in ("routes", "recipients", "covers", "groups"):
        address = f"/routing/{place}/{{key:path}}"  # a name may have slashes
        found += [Route(address, explained(rows.edit)), Route(address, rows.save, methods=["POST"])]
    return found
