"""Which of the registry's resources carry which service, by code, id and title."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from connectors.altinn3.registry import RegistryEntry, carriers, service_of_references
from connectors.mailboxes.altinn3 import Altinn3, connect
from connectors.net.http_client import HttpClient
from connectors.sandbox.altinn3 import faults
from connectors.sandbox.altinn3.access import ReadyClient
from connectors.sandbox.altinn3.discovery import PretendResource
from connectors.sandbox.altinn3.server import FakeAltinn
from connectors.sandbox.http_server import Response
from daemon.core.dpv import ALL_SERVICES, CONFIDENTIAL_POST
from daemon.core.errors import MailboxUnavailable
from tests.connectors.altinn3_post import ADMINISTRATION, PARTY, QUICK, read_settings


def entry(
    resource: str = "digdir-x",
    titles: Mapping[str, str] | None = None,
    *references: tuple[str, str],
) -> RegistryEntry:
    return RegistryEntry(id=resource, titles=titles or {}, references=references)


def found(each: RegistryEntry) -> tuple[str, str] | None:
    match = each.match
    return (match.service, match.by) if match else None


@pytest.mark.parametrize("service", ALL_SERVICES, ids=lambda each: each.code)
@pytest.mark.parametrize("language", ["nb", "nn", "en"])
def test_a_title_in_one_language_is_enough(service: object, language: str) -> None:
    """Every service is found by its title in any of the three languages, whatever the id."""
    each = next(one for one in ALL_SERVICES if one is service)
    words = {
        "nb": "Post fra det offentlige innenfor {}",
        "nn": "Post frå det offentlege innanfor {}",
        "en": "Post from the public sector within {}",
    }[language]
    titles = {"nb": "Annet", "nn": "Anna", "en": "Other"}
    titles[language] = words.format(each.names[language].lower())
    assert found(entry(titles=titles)) == (each.code, "title")


def test_the_code_and_edition_come_first() -> None:
    """The references of a migrated service decide, even against id and title."""
    code = (("servicecode", "4255"), ("serviceeditioncode", "8"), ("serviceeditionversion", "7381"))
    each = entry("x-4255-1", {"nb": "Post fra det offentlige innenfor administrasjon"}, *code)
    assert found(each) == ("4255/8", "service code")
    assert found(entry("asf-migratedcorrespondence-4255-10")) == ("4255/10", "id")


@pytest.mark.parametrize(
    ("pairs", "service"),
    [
        (
            (("servicecode", "4255"), ("serviceeditioncode", "2"), ("serviceeditioncode", "3")),
            "4255/2",
        ),
        (
            (
                ("servicecode", "5062"),
                ("serviceeditioncode", "1"),
                ("servicecode", "4255"),
                ("serviceeditioncode", "9"),
            ),
            "4255/9",
        ),
        ((("servicecode", "4255"), ("serviceeditioncode", "11")), None),
        ((("servicecode", "4255"),), None),
        ((("serviceeditioncode", "1"),), None),
        ((("servicecode", "5504"), ("serviceeditioncode", "3")), "5504/1"),
        (
            (
                ("servicecode", "4255"),
                ("serviceeditioncode", "2"),
                ("servicecode", "5504"),
                ("serviceeditioncode", "1"),
            ),
            "5504/1",
        ),
        ((), None),
    ],
)  # fmt: skip  # one pair of references each
def test_references(pairs: tuple[tuple[str, str], ...], service: str | None) -> None:
    """One code may have several editions, several codes have theirs in order; an edition that is
    none of DPV is none, and what is confidential by any of them is confidential."""
    assert service_of_references(pairs) == service


@pytest.mark.parametrize(
    ("resource", "title"),
    [
        ("x", "Taushetsbelagt post fra det offentlige innenfor helse, sosial og omsorg"),
        ("x", "Taushetsbelagt post fra det offentlige innenfor administrasjon"),
        ("x", "Teiepliktig post frå det offentlege innanfor oppvekst og utdanning"),
        ("x", "Confidential post from public authorities within administration"),
        ("eformidling-dpv-taushetsbelagt-helse-sosial-omsorg", ""),
        ("eformidling-dpv-helse-sosial-omsorg", "Post med taushetsbelagt innhold"),
        ("asf-migratedcorrespondence-5504-2", ""),
    ],
)
def test_confidential_post_is_never_taken_for_another_service(resource: str, title: str) -> None:
    """Confidential post on health is not post on health: it would be fetched and opened."""
    match = entry(resource, {"nb": title}).match
    assert match
    assert match.service == CONFIDENTIAL_POST.code


HEALTH = (("servicecode", "4255"), ("serviceeditioncode", "2"))


@pytest.mark.parametrize(
    ("resource", "title", "references"),
    [
        ("eformidling-dpv-taushetsbelagt", "", HEALTH),
        ("x", "Taushetsbelagt post fra det offentlige innenfor helse, sosial og omsorg", HEALTH),
        ("x", "Post med taushetsbelagt innhold", HEALTH),
        ("x-4255-2", "Taushetsbelagt post fra det offentlige innenfor helse", ()),
        ("taushetsbelagt-4255-2", "", ()),
        ("x-5504-1-y", "Helse", HEALTH),
        ("x", "", (("servicecode", "4255"), ("servicecode", "5504"), ("serviceeditioncode", "2"))),
        ("x", "", (("servicecode", "5504"),)),
    ],
)
def test_any_sign_of_confidential_post_comes_first(
    resource: str, title: str, references: tuple[tuple[str, str], ...]
) -> None:
    """No code, edition or id of an ordinary service makes confidential post ordinary."""
    each = entry(resource, {"nb": "Post", "nn": title}, *references)
    assert (found(each) or ("none", ""))[0] == CONFIDENTIAL_POST.code
    assert carriers([each], ["4255/2"]) == {CONFIDENTIAL_POST.code: [resource]}


def test_a_resource_that_is_read_needs_no_other_sign() -> None:
    """Where a resource is read already, the word alone takes it out of ordinary post."""
    each = entry("ska-post", {"nb": "Taushetsbelagt melding"})
    assert carriers([each], ["4255/2"]) == {}
    assert carriers([each], ["4255/2"], {"ska-post"}) == {CONFIDENTIAL_POST.code: ["ska-post"]}


@pytest.mark.parametrize(
    ("resource", "title"),
    [
        ("nav-x", "Administrasjon av ytelser"),
        ("brg-kunngjoringer", "Kunngjøringer innenfor administrasjon"),
        ("kommune-post", "Post innenfor skatter og avgifter"),
        ("x", "Post fra det offentlige innenfor noe helt annet"),
        ("x", "Correspondence about public administration"),
        ("x-14255-8", ""),
        ("x-4255-99", ""),
        ("ska-taushetsbelagt", "Taushetsbelagt melding"),
    ],
)
def test_other_resources_carry_no_service(resource: str, title: str) -> None:
    """What only sounds alike is left alone: its letters would get the wrong route."""
    assert found(entry(resource, {"nb": title})) is None


def test_what_is_said_not_to_be_confidential_is_not() -> None:
    """A title that rules confidentiality out does not make a resource confidential."""
    assert found(entry("eformidling-dpv-administrasjon-ikke-taushetsbelagt")) == (
        "4255/10",
        "title",
    )


def test_carriers_are_those_of_the_services_that_are_wanted() -> None:
    """By service in the order asked, resources by name; several may carry one."""
    entries = [entry("b-4255-8"), entry("a-4255-8"), entry("c-4255-1"), entry("nav-x")]
    assert carriers(entries, ["4255/8", "4255/2"]) == {"4255/8": ["a-4255-8", "b-4255-8"]}


# The registry itself


@pytest.fixture
def altinn() -> Iterator[FakeAltinn]:
    with FakeAltinn() as running:
        yield running


@pytest.fixture
def client(altinn: FakeAltinn) -> ReadyClient:
    ready = altinn.ready_client()
    altinn.allow(ready.client_id, PARTY, [ADMINISTRATION])
    return ready


@pytest.fixture
def mailbox(tmp_path: Path, altinn: FakeAltinn, client: ReadyClient) -> Iterator[Altinn3]:
    settings = read_settings(tmp_path, altinn, client, resources="auto", parties=[PARTY])
    with closing(Altinn3("altinn", settings, HttpClient(longest_pause=300, timeouts=QUICK))) as box:
        yield box


def test_resources_are_found_and_then_listed(altinn: FakeAltinn, mailbox: Altinn3) -> None:
    """What the registry says replaces every guess for that service, at once; other services keep
    theirs, and a resource that is known from source code is listed although it is missing there."""
    altinn.add_resource(PretendResource(id="ny-skatt", title="Noe", service="4255/8"))
    altinn.add_resource(
        PretendResource(
            id="app", title="Post fra det offentlige innenfor administrasjon", type="AltinnApp"
        )
    )
    altinn.discovery.remove(ADMINISTRATION)
    altinn.add_resource(PretendResource(id="ny-adm", title="Noe", service="4255/10"))
    resources = mailbox.find_resources()
    assert resources == {"4255/8": ["ny-skatt"], "4255/10": ["ny-adm"]}
    mailbox.use_resources(resources)
    listed = {
        service: [
            (each.resource, each.presumed) for each in mailbox.channels() if each.service == service
        ]
        for service in ("4255/8", "4255/10", "4255/1")
    }
    assert listed == {
        "4255/8": [("ny-skatt", False)],
        "4255/10": [("ny-adm", False), (ADMINISTRATION, True)],
        "4255/1": [("asf-migratedcorrespondence-4255-1", True)],
    }
    assert altinn.calls("resourcelist")[-1].query == "includeApps=false"


@pytest.mark.parametrize(
    "fault",
    [
        faults.status(500),
        faults.status(404),
        faults.html_page(),
        faults.Fault(name="odd", instead=lambda: Response(status=200, body=b'{"items": 1}')),
    ],
    ids=lambda each: each.name,
)
def test_a_registry_that_fails_says_so(
    altinn: FakeAltinn, mailbox: Altinn3, fault: faults.Fault
) -> None:
    """No answer is not the answer that there are none."""
    altinn.faults.inject(fault, "resourcelist", times=None)
    with pytest.raises(MailboxUnavailable):
        mailbox.find_resources()


def test_confidential_post_that_is_off_is_not_read(
    tmp_path: Path, altinn: FakeAltinn, client: ReadyClient
) -> None:
    """A resource that was read as ordinary post is left alone as soon as its id or the registry
    says that it is confidential."""
    altinn.add_resource(PretendResource(id="ny-helse", title="Noe", service="5504/1"))
    settings = read_settings(
        tmp_path, altinn, client, resources="auto", parties=[PARTY], confidential="off"
    )
    with closing(connect("altinn", settings)) as box:
        assert box.find_resources()["5504/1"] == ["ny-helse"]
        box.use_resources({"4255/2": ["x-5504-2", "helse"], "5504/1": ["ny-helse"]})
        listed = {each.resource for each in box.channels() if each.service == "4255/2"}
        assert listed == {"helse"}
        assert all(each.service != "5504/1" for each in box.channels())


def test_a_registry_that_fails_stops_no_letter(altinn: FakeAltinn, mailbox: Altinn3) -> None:
    """However often the registry fails, the platform's other calls are made."""
    altinn.faults.inject(faults.status(503), "resourcelist", "resource", times=None)
    for _ in range(10):
        with pytest.raises(MailboxUnavailable):
            mailbox.find_resources()
    channel = next(each for each in mailbox.channels() if each.resource == ADMINISTRATION)
    assert mailbox.list(channel, None).refs == ()


def test_half_of_an_entry_is_no_reason_to_fail(altinn: FakeAltinn, mailbox: Altinn3) -> None:
    """Entries without what they should have are left out, and the others count."""
    body = (
        b'[1, {}, {"identifier": 4}, {"identifier": "a", "resourceType": "CorrespondenceService", '
        b'"title": null, "resourceReferences": [null, {"referenceSource": "Altinn2"}]},'
        b'{"identifier": "b-4255-1", "resourceType": "correspondenceservice"}]'
    )
    odd = faults.Fault(name="odd", instead=lambda: Response(status=200, body=body))
    altinn.faults.inject(odd, "resourcelist")
    assert mailbox.find_resources() == {"4255/1": ["b-4255-1"]}


def test_a_configured_table_asks_no_registry(
    tmp_path: Path, altinn: FakeAltinn, client: ReadyClient
) -> None:
    """Configured resources are listed as ever, and the registry is not asked."""
    settings = read_settings(tmp_path, altinn, client, parties=[PARTY])
    with closing(connect("altinn", settings)) as box:
        assert not box.finds_resources
        assert list(box.check())
    assert altinn.count("resourcelist") == 0
    empty = read_settings(tmp_path, altinn, client, parties=[PARTY], resources={})
    assert empty.resources is None
