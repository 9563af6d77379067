"""The page about what letters take, for those who operate all of them."""

from __future__ import annotations

import re
from datetime import timedelta

from daemon.core.model import DeliveryState
from daemon.store.users import RoleGrant
from tests.unit.conftest import NOW, stored_letter
from tests.unit.page.conftest import Site


def test_percentiles_are_shown(site: Site) -> None:
    """Each step has its percentiles, for all letters and for each service and destination; those
    who operate some letters only are refused, as the numbers are of all."""
    letter = stored_letter("a")
    letter.deliveries[0].state = DeliveryState.DELIVERED
    letter.deliveries[0].delivered_at = NOW + timedelta(minutes=5)
    site.store.letters.add([letter])
    site.clock.advance(hours=1)
    text = site.user("kari", "operator").get("/times").text
    rows = re.findall(r'data-step="stored_to_delivered" data-service="([^"]*)"', text)
    assert rows == ["", "4255/8"]
    assert text.count('<td data-seconds="300.0">') == 6
    assert 'data-letters="1" data-every="1"' in text
    ola = site.user("ola", RoleGrant(role="operator", parties=("974761076",)))
    assert ola.get("/times").status_code == 403
