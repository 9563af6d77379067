"""What a user with limits sees does not depend on what is outside them, on any page."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from daemon.core.model import DeliveryState, LetterRef, SightingState
from daemon.store.users import RoleGrant
from tests.unit.conftest import NOW, stored_letter
from tests.unit.page.conftest import Site
from tests.unit.page.everything import (
    OURS,
    THEIRS,
    actions_on,
    activate,
    add_foreign,
    addresses_of,
    draft,
    foreign_channel,
    keep_letter,
    pages,
    version,
)

ROLES = ("reader", "operator", "router", "confidential")
LIMITS: Mapping[str, tuple[RoleGrant, ...]] = {
    f"{role} of {what}": (RoleGrant(role=role, **limit),)
    for role in ("reader", "operator", "router", "admin", "confidential")
    for what, limit in (
        ("a recipient", {"recipients": ("regnskap",)}),
        ("a party", {"parties": (OURS,)}),
    )
} | {
    "all roles": tuple(
        RoleGrant(role=role, recipients=("regnskap",), parties=(OURS,))
        for role in (*ROLES, "admin")
    )
}


@pytest.mark.parametrize("grants", LIMITS.values(), ids=LIMITS)
def test_no_page_depends_on_what_is_outside_the_limits(
    site: Site, grants: tuple[RoleGrant, ...]
) -> None:
    """Every page, list, count, file and dry run is the same, byte for byte, before and after
    foreign letters, deliveries, channels, problems and alerts of every kind come."""
    activate(site)
    mine = keep_letter(site, "mine", OURS, "regnskap")
    dead = keep_letter(site, "stopped", OURS, "regnskap", DeliveryState.DEAD)
    ola, per = site.user("ola", *grants), site.user("per", "reader", "operator")
    draft(site, "ola")
    before = dict(pages(site, ola, (mine, dead)))
    shown = [name for name, text in before.items() if text.startswith("200")]
    assert len(shown) >= 4
    foreign = add_foreign(site, per)
    if any(each.parties for each in grants):  # letters for every recipient may come by any channel
        foreign_channel(site)
    after = dict(pages(site, ola, (mine, dead)))
    assert [name for name in before if after[name] != before[name]] == []
    for name, text in after.items():
        assert not [word for word in (*foreign, THEIRS, "hemmelig", "fremmed") if word in text], (
            name
        )
    for address in addresses_of((foreign[0], foreign[-1])):
        assert ola.get(address).status_code in {403, 404}, address
    for action in actions_on(foreign[0]):
        assert ola.post(action, data={"to": "regnskap", "reason": "x"}).status_code in {403, 404}


def test_without_limits_the_same_pages_change(site: Site) -> None:
    """What the test above adds is seen by those who may, so that it proves something."""
    activate(site)
    mine = keep_letter(site, "mine", OURS, "regnskap")
    kari = site.user("kari", "reader", "operator", "router", "confidential", "admin")
    per = site.user("per", "reader", "operator")
    draft(site, "kari")
    before = dict(pages(site, kari, (mine, mine)))
    add_foreign(site, per)
    after = dict(pages(site, kari, (mine, mine)))
    changed = {name for name in before if before[name] != after[name]}
    assert changed >= {
        "/",
        "/letters",
        "/letters.csv",
        "/deliveries",
        "/deliveries?state=dead",
        "/service",
        "/confidential",
        "/routing/new",
        "try",
        "/admin/log",
        "/deadlines",
        "/routing/proposals",
    }


def test_an_earlier_letter_of_others_is_not_named(site: Site) -> None:
    """A letter that follows another of its case names that one only to those who may see it."""
    foreign = keep_letter(site, "first", OURS, "eiendom")
    letter = stored_letter("second", party=OURS)
    letter.decision.recipients = ["regnskap"]
    letter.decision.why = {"thread": {"earlier": foreign, "route": "Alt", "shares": "case"}}
    letter.decision.routing_version = version(site)
    site.store.letters.add([letter])
    address = f"/letters/{letter.message.id}"
    ola = site.user("ola", RoleGrant(role="reader", recipients=("regnskap",)))
    assert foreign[:8] not in ola.get(address).text
    assert foreign in site.user("kari", "reader").get(address).text


def test_an_operator_with_limits_sees_what_is_wrong_with_their_own(site: Site) -> None:
    """Numbers, destinations and problems are those of their letters; each leads to its list."""
    activate(site)
    per = site.user("per", "reader", "operator")
    stopped = keep_letter(site, "stopped", OURS, "regnskap", DeliveryState.DEAD)
    keep_letter(site, "held", OURS, "regnskap", DeliveryState.HELD)
    add_foreign(site, per)
    for state in (SightingState.FAILING, SightingState.WAITING):
        ref = LetterRef(
            mailbox="altinn", party=OURS, service="5504/1", resource="x", external_id=f"own-{state}"
        )
        site.store.letters.record_skipped(ref, state, NOW, "HTTP 500")
    ola = site.user("ola", RoleGrant(role="operator", parties=(OURS,)))
    overview = ola.get("/").text
    facts = dict(re.findall(r'data-testid="fact" data-name="(\w+)" data-count="(\d+)"', overview))
    assert facts == {
        "messages": "2",
        "waiting": "0",
        "dead": "1",
        "held": "1",
        "confidential": "1",
    }
    found = re.findall(r'data-testid="trouble" data-kind="([\w-]+)" data-about="(\w*)"', overview)
    assert set(found) >= {("dead", "erp"), ("unfetched", "altinn")}
    address = "/deliveries?state=dead&amp;destination=erp"
    assert f'href="{address}">erp: leveringer har stoppet og prøves ikke igjen: 1<' in overview
    listed = ola.get(address.replace("&amp;", "&")).text
    assert listed.count('data-testid="delivery"') == 1
    assert stopped[:8] not in overview
    service = ola.get("/service").text
    assert "own-failing" in service
    assert "x-failing" not in service
    assert ola.get("/confidential").text.count('data-testid="sighting"') == 1
