"""Which resources there are, and whether they can be read: `check` and `discover` of the Altinn 3
mailbox."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.altinn3.registry import guess_service
from connectors.altinn3.settings import Settings
from connectors.mailboxes.altinn3 import Altinn3, connect
from connectors.sandbox.altinn3 import faults
from connectors.sandbox.altinn3.access import READ_SCOPE, ReadyClient
from connectors.sandbox.altinn3.discovery import PretendResource
from connectors.sandbox.altinn3.server import FakeAltinn
from connectors.sandbox.http_server import Response
from connectors.sandbox.letters import PretendLetter
from daemon.core.ports import Discovered, Finding

PARTY, OTHER = "991825827", "974761076"
ADMINISTRATION, CONFIDENTIAL, MIGRATED = (
    "eformidling-dpv-administrasjon",
    "eformidling-dpv-taushetsbelagt",
    "asf-migratedcorrespondence-4255-8",
)


@pytest.fixture
def altinn() -> Iterator[FakeAltinn]:
    with FakeAltinn() as running:
        yield running


@pytest.fixture
def client(altinn: FakeAltinn) -> ReadyClient:
    ready = altinn.ready_client()
    altinn.allow(ready.client_id, PARTY, [ADMINISTRATION, CONFIDENTIAL])
    return ready


def mailbox(folder: Path, altinn: FakeAltinn, client: ReadyClient, **other: Any) -> Altinn3:
    (folder / "key.pem").write_text(client.private_key)
    told = {
        "maskinporten_url": altinn.maskinporten_url,
        "platform_url": altinn.platform_url,
        "client_id": client.client_id,
        "key_file": "key.pem",
        "key_id": client.key_id,
        "parties": [PARTY],
        "services": ["4255/8", "4255/10"],
    }
    return connect("altinn", Settings.model_validate(told | other, context={"base": folder}))


def found(box: Altinn3) -> dict[str, Finding]:
    with closing(box):
        return {each.subject: each for each in box.check()}


def test_a_check_goes_step_by_step(tmp_path: Path, altinn: FakeAltinn, client: ReadyClient) -> None:
    """Key, Maskinporten, Altinn, each service, and other resources: one finding each, and nothing
    in Altinn is changed."""
    letter = altinn.publish(PretendLetter(party=PARTY))
    findings = found(mailbox(tmp_path, altinn, client))
    assert list(findings) == [
        "key",
        "resource registry",
        f"{PARTY} Maskinporten",
        f"{PARTY} Altinn",
        f"{PARTY} 4255/10 Administrasjon",
        f"{PARTY} 5504/1 Taushetsbelagt post",
        f"{PARTY} other resources",
        "services without a resource",
        "bell",
    ]
    assert all(each.ok for each in findings.values())
    assert f"through {ADMINISTRATION}" in findings[f"{PARTY} 4255/10 Administrasjon"].text
    assert "1800 seconds" in findings[f"{PARTY} Altinn"].text
    assert altinn.statuses(letter)[-1] == "Published"


@pytest.mark.parametrize(
    ("days", "ok", "words"),
    [(-1, False, "its last day was"), (0, True, "valid until"), (None, True, "`key_expires`")],
)
def test_the_key_says_until_when_it_is_good(
    tmp_path: Path, altinn: FakeAltinn, client: ReadyClient, days: int | None, ok: bool, words: str
) -> None:
    """A key whose last day is past fails, and the way goes on, for Maskinporten may know better;
    one without a last day is remarked."""
    other = {} if days is None else {"key_expires": datetime.now(UTC).date() + timedelta(days=days)}
    findings = found(mailbox(tmp_path, altinn, client, **other))
    assert (findings["key"].ok, words in findings["key"].text) == (ok, True)
    assert findings[f"{PARTY} Altinn"].ok


def test_guesses_that_cannot_be_read_are_one_warning(
    tmp_path: Path, altinn: FakeAltinn, client: ReadyClient
) -> None:
    """Services of which no letter can ever come are told in one line, with what to do, however many
    services and organisations there are; it fails no check."""
    altinn.allow(client.client_id, OTHER, [ADMINISTRATION, CONFIDENTIAL])
    services = ["4255/10", "4255/8", "4255/9", "4255/1"]
    findings = found(mailbox(tmp_path, altinn, client, services=services, parties=[PARTY, OTHER]))
    warnings = {name: each for name, each in findings.items() if each.warning}
    assert list(warnings) == ["services without a resource"]
    text = warnings["services without a resource"].text
    assert "no letter of 4255/1, 4255/8, 4255/9 of 2 organisations can arrive" in text
    assert all(each in text for each in ("`postmottak discover`", "`resources`", "`services`"))
    assert all(each.ok for each in findings.values())


def test_confidential_post_without_access_is_a_warning(
    tmp_path: Path, altinn: FakeAltinn, client: ReadyClient
) -> None:
    """Where it cannot even be seen whether confidential post waits, the package to ask for is
    named, and how to do without."""
    altinn.revoke(client.client_id, PARTY, [CONFIDENTIAL])
    finding = found(mailbox(tmp_path, altinn, client))[f"{PARTY} 5504/1 Taushetsbelagt post"]
    assert (finding.ok, finding.warning) == (True, True)
    assert "main administrator" in finding.text
    assert 'confidential = "off"' in finding.text


def test_a_check_uses_what_the_registry_says(
    tmp_path: Path, altinn: FakeAltinn, client: ReadyClient
) -> None:
    """A resource that only the registry knows is checked for its service; without the registry the
    known ones are, with a warning."""
    altinn.add_resource(PretendResource(id="ny-skatt", title="Ny", service="4255/8"))
    altinn.allow(client.client_id, PARTY, ["ny-skatt"])
    subject = f"{PARTY} 4255/8 Skatter og avgifter"
    assert "through ny-skatt" in found(mailbox(tmp_path, altinn, client))[subject].text
    altinn.faults.inject(faults.status(500), "resourcelist", times=None)
    findings = found(mailbox(tmp_path, altinn, client))
    assert (findings["resource registry"].ok, findings["resource registry"].warning) == (True, True)
    assert "checked instead" in findings["resource registry"].text
    assert findings[f"{PARTY} 4255/10 Administrasjon"].ok


def test_a_configured_resource_that_cannot_be_read_is_a_fault(
    tmp_path: Path, altinn: FakeAltinn, client: ReadyClient
) -> None:
    """A missing right and a typing mistake are told apart by the resource registry; without that,
    the right is still told."""
    altinn.add_resource(PretendResource(id="skatt", title="Skatt"))
    subject = f"{PARTY} 4255/8 Skatter og avgifter"
    right = found(mailbox(tmp_path, altinn, client, resources={"4255/8": ["skatt"]}))[subject]
    typo = found(mailbox(tmp_path, altinn, client, resources={"4255/8": ["skat"]}))[subject]
    altinn.faults.inject(faults.status(500), "resource", times=None)
    dark = found(mailbox(tmp_path, altinn, client, resources={"4255/8": ["skatt"]}))[subject]
    assert not any(each.ok for each in (right, typo, dark))
    assert "access package or right" in right.text
    assert "access package or right" in dark.text
    assert "has no skat: look for a typing mistake" in typo.text


def test_each_party_is_checked_by_itself(
    tmp_path: Path, altinn: FakeAltinn, client: ReadyClient
) -> None:
    """A party without system user is told why, and the others' findings are the same as ever."""
    findings = found(mailbox(tmp_path, altinn, client, parties=[OTHER, PARTY]))
    assert not findings[f"{OTHER} Maskinporten"].ok
    assert "MP-303" in findings[f"{OTHER} Maskinporten"].text
    assert f"{OTHER} Altinn" not in findings
    assert findings[f"{PARTY} 4255/10 Administrasjon"].ok


def test_an_exchange_that_fails_ends_a_party(
    tmp_path: Path, altinn: FakeAltinn, client: ReadyClient
) -> None:
    """Without a token of Altinn's there is nothing more to check."""
    altinn.faults.inject(faults.status(500), "exchange", times=None)
    findings = found(mailbox(tmp_path, altinn, client))
    wanted = ["key", "resource registry", f"{PARTY} Maskinporten", f"{PARTY} Altinn"]
    assert list(findings) == wanted
    assert not findings[f"{PARTY} Altinn"].ok


NOBODY = "3f9a0f6e-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"client_id": NOBODY}, "compare `client_id`"),
        ({"key_id": "other"}, "Compare `key_id`"),
        (
            {"maskinporten_url": "http://127.0.0.1:9/"},
            "connection refused.*name server and firewall",
        ),
        (
            {"maskinporten_url": "https://altinn.invalid/"},
            "cannot be resolved.*name server and firewall",
        ),
    ],
    ids=["client", "key", "refused", "no name"],
)
def test_what_concerns_every_party_is_told_once(
    tmp_path: Path, altinn: FakeAltinn, client: ReadyClient, other: dict[str, Any], words: str
) -> None:
    """Where Maskinporten would say the same to the next party, that is not asked, and the line says
    so."""
    findings = found(mailbox(tmp_path, altinn, client, parties=[PARTY, OTHER], **other))
    assert list(findings) == ["key", "resource registry", f"{PARTY} Maskinporten"]
    assert re.search(words, findings[f"{PARTY} Maskinporten"].text)
    assert "rest of this mailbox is not checked" in findings[f"{PARTY} Maskinporten"].text


def test_a_platform_that_goes_away_ends_the_check(
    tmp_path: Path, altinn: FakeAltinn, client: ReadyClient
) -> None:
    """If Correspondence does not answer for the first service, the others and the next party are
    not waited for."""
    altinn.faults.inject(faults.status(500), "list", times=None)
    findings = found(mailbox(tmp_path, altinn, client, parties=[PARTY, OTHER]))
    assert list(findings)[4:] == [f"{PARTY} 4255/8 Skatter og avgifter"]
    assert "rest of this mailbox is not checked" in list(findings.values())[4].text


def test_a_missing_right_names_the_access_package(
    tmp_path: Path, altinn: FakeAltinn, client: ReadyClient
) -> None:
    """What somebody must hand out is named; for confidential post that is another package, which
    nobody has by itself."""
    altinn.add_resource(PretendResource(id=CONFIDENTIAL, title="Taushetsbelagt"))
    altinn.revoke(client.client_id, PARTY, [ADMINISTRATION, CONFIDENTIAL])
    resources = {"4255/10": [ADMINISTRATION], "5504/1": [CONFIDENTIAL]}
    findings = found(mailbox(tmp_path, altinn, client, services=["4255/10"], resources=resources))
    assert "Ordinær post til virksomheten" in findings[f"{PARTY} 4255/10 Administrasjon"].text
    assert "main administrator" in findings[f"{PARTY} 5504/1 Taushetsbelagt post"].text


def test_a_wrong_clock_is_remarked(tmp_path: Path, altinn: FakeAltinn, client: ReadyClient) -> None:
    """A clock that had to be got over fails no step, and the check says by how much it is wrong."""
    altinn.clock.skew = timedelta(hours=2)
    finding = found(mailbox(tmp_path, altinn, client))[f"{PARTY} Maskinporten"]
    assert finding.ok
    assert re.search("clock is 7[12][0-9]{2} seconds behind; set it", finding.text)


def test_letters_that_nobody_fetches_are_noticed(
    tmp_path: Path, altinn: FakeAltinn, client: ReadyClient
) -> None:
    """A correspondence resource in use that no service claims is named, with the service that its
    name speaks of."""
    altinn.allow(client.client_id, PARTY, ["eformidling-dpv-skatterogavgifter", "nav-brev"])
    for resource in ("eformidling-dpv-skatterogavgifter", "nav-brev", ADMINISTRATION):
        altinn.publish(PretendLetter(party=PARTY, resource=resource))
    by_hand = {"4255/10": [ADMINISTRATION]}
    finding = found(mailbox(tmp_path, altinn, client, resources=by_hand))[
        f"{PARTY} other resources"
    ]
    assert finding.ok
    assert "2 in use" in finding.text
    assert "eformidling-dpv-skatterogavgifter (probably 4255/8), nav-brev;" in finding.text


def test_without_dialogporten_a_check_is_whole(tmp_path: Path, altinn: FakeAltinn) -> None:
    """A client that lacks Dialogporten's scope can be checked and used; what is not known is
    said."""
    client = altinn.ready_client(scopes=[READ_SCOPE])
    altinn.allow(client.client_id, PARTY, [ADMINISTRATION, CONFIDENTIAL])
    findings = found(mailbox(tmp_path, altinn, client))
    assert all(each.ok for each in findings.values())
    assert "does no harm" in findings[f"{PARTY} other resources"].text


def discovered(box: Altinn3) -> dict[str, Discovered]:
    with closing(box):
        return {each.resource: each for each in box.discover()}


def test_discovery_tells_what_is_in_use_and_what_is_configured(
    tmp_path: Path, altinn: FakeAltinn, client: ReadyClient
) -> None:
    """Resources in use with their names, services and rights; then those of the configuration,
    whether they exist or not."""
    altinn.add_resource(
        PretendResource(id="dpv-x", title="Digital post til virksomheter: Natur og miljø")
    )
    altinn.add_resource(PretendResource(id="a-form", title="A form", type="AltinnApp"))
    altinn.allow(client.client_id, PARTY, ["dpv-x", "a-form"])
    for resource in ("dpv-x", "a-form", ADMINISTRATION):
        altinn.publish(PretendLetter(party=PARTY, resource=resource))
    told = discovered(mailbox(tmp_path, altinn, client))
    assert "a-form" not in told
    assert (
        told["dpv-x"].service,
        told["dpv-x"].guessed,
        told["dpv-x"].configured,
        told["dpv-x"].readable,
    ) == ("4255/6", True, False, True)
    assert told["dpv-x"].names["nb"] == "Digital post til virksomheter: Natur og miljø"
    known = told[ADMINISTRATION]
    assert (known.service, known.guessed, known.configured, known.readable, known.remark) == (
        "4255/10",
        False,
        True,
        True,
        "",
    )
    guess = told[MIGRATED]
    assert (guess.service, guess.guessed, guess.readable) == ("4255/8", True, False)
    assert "registry has no such resource" in guess.remark
    assert told[CONFIDENTIAL].readable


def test_the_whole_catalogue_is_no_answer(
    tmp_path: Path, altinn: FakeAltinn, client: ReadyClient
) -> None:
    """Where Dialogporten falls back to everything that anyone uses, its hundreds of resources are
    neither listed nor tried one by one."""
    item = {
        "serviceResource": {"id": "foreign", "resourceType": "correspondenceservice", "name": []}
    }
    body = json.dumps({"items": [item] * 500, "isFullCatalogueFallback": True}).encode()
    everything = faults.Fault(name="all", instead=lambda: Response(status=200, body=body))
    altinn.faults.inject(everything, "serviceresources", times=None)
    told = discovered(mailbox(tmp_path, altinn, client))
    assert "foreign" not in told
    assert "everything that anyone uses" in told[ADMINISTRATION].remark
    finding = found(mailbox(tmp_path, altinn, client))[f"{PARTY} other resources"]
    assert (finding.ok, "foreign" in finding.text) == (True, False)


def test_discovery_drops_guesses_where_the_registry_knows(
    tmp_path: Path, altinn: FakeAltinn, client: ReadyClient
) -> None:
    """A resource that the registry has for a service takes the place of a guess, and not of a
    resource that public source code names; how each was found is told."""
    altinn.add_resource(PretendResource(id="ny-skatt", title="Ny", service="4255/8"))
    title = "Taushetsbelagt post fra det offentlige innenfor administrasjon"
    altinn.add_resource(PretendResource(id="ny-taushet", title=title))
    altinn.discovery.remove(CONFIDENTIAL)
    told = discovered(mailbox(tmp_path, altinn, client))
    assert list(told) == [ADMINISTRATION, "ny-skatt", "ny-taushet", CONFIDENTIAL]
    assert {name: (each.service, each.matched) for name, each in told.items()} == {
        ADMINISTRATION: ("4255/10", "title"),
        "ny-skatt": ("4255/8", "service code"),
        "ny-taushet": ("5504/1", "title"),
        CONFIDENTIAL: ("5504/1", ""),
    }


def test_discovery_leaves_no_party_out(
    tmp_path: Path, altinn: FakeAltinn, client: ReadyClient
) -> None:
    """A party for which nothing can be asked is listed with its configuration and the reason, and
    the next one follows."""
    with closing(mailbox(tmp_path, altinn, client, parties=[OTHER, PARTY])) as box:
        told = list(box.discover())
    others = [each for each in told if each.party == OTHER]
    assert others
    assert all(not each.readable and "MP-303" in each.remark for each in others)
    assert not any(each.refused or each.unanswered for each in others)
    assert any(each.readable for each in told if each.party == PARTY)


def test_discovery_and_correspondence_may_disagree(
    tmp_path: Path, altinn: FakeAltinn, client: ReadyClient
) -> None:
    """Whether letters can be read is asked of Correspondence itself, and a registry that is down
    only costs a remark."""
    altinn.faults.inject(faults.status(500), "list", "resource", times=2)
    altinn.publish(PretendLetter(party=PARTY))
    told = discovered(mailbox(tmp_path, altinn, client))[ADMINISTRATION]
    assert (told.readable, told.refused) == (False, False)
    assert "answered 500" in told.remark
    assert told.unanswered


@pytest.mark.parametrize(
    ("resource", "title", "service"),
    [
        ("asf-migratedcorrespondence-4255-10", "", "4255/10"),
        ("digdir-migratedcorrespondence-5504-1", "", "5504/1"),
        ("asf-migratedcorrespondence-4255-99", "", None),
        ("eformidling-dpv-helse-sosial-omsorg", "", "4255/2"),
        ("eformidling-dpv-helseSosialOgOmsorg", "", "4255/2"),
        ("eformidling-dpv-naturOgMiljoe", "", "4255/6"),
        ("digdir-x", "Digital post: Næringsutvikling", "4255/7"),
        ("nav-x", "Administrasjon av ytelser", None),
        ("eformidling-dpv-noe", "Noe annet", None),
    ],
)
def test_a_name_may_tell_the_service(resource: str, title: str, service: str | None) -> None:
    """A code or a service's name counts, but only where the resource speaks of digital post at
    all."""
    assert guess_service(resource, {"nb": title}) == service
