"""The archive formats: valid by the schemas that are published, whatever a letter holds, and the
same for the same letter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from connectors.destinations.filedrop import FileDrop, Settings
from connectors.drops import contents
from connectors.drops.formats import arkivmelding, fiks_arkiv
from daemon.core.ports import Parcel
from tests.handing_over import hand_over

MakeParcel = Callable[..., Parcel]
SCHEMAS = Path(__file__).parents[2].parent / "shared" / "contracts" / "arkivmelding"
ARKIVMELDING = ("eformidling-code/arkivmelding.xsd", "eformidling-docs/arkivmelding.xsd")
FIKS = "fiks-arkiv-v1/no.ks.fiks.arkiv.v1.arkivering.arkivmelding.opprett.xsd"
NOARK = {"n": "http://www.arkivverket.no/standarder/noark5/arkivmelding"}
KS = {
    "f": "https://ks-no.github.io/standarder/fiks-protokoll/fiks-arkiv/arkivmelding/opprett/v1",
    "m": "https://ks-no.github.io/standarder/fiks-protokoll/fiks-arkiv/metadatakatalog/v1",
}
ANY_TEXT = st.text(
    st.characters() | st.sampled_from("\x00\x08\x1b\ufffe<&>\"']\r\n\ud800æøå🎉"), max_size=40
)
TIMES = st.datetimes(
    min_value=datetime(1990, 1, 1),  # noqa: DTZ001  # hypothesis adds the zone
    max_value=datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)  # hypothesis adds the zone


@cache
def schema(name: str) -> Any:
    if not SCHEMAS.is_dir():
        pytest.skip(f"the published schemas are not at {SCHEMAS}")
    return etree.XMLSchema(etree.parse(str(SCHEMAS / name)))


@st.composite
def letters(draw: st.DrawFn) -> dict[str, Any]:
    """What may vary in a letter, as `make_parcel` takes it."""
    names = draw(st.lists(st.text(max_size=12), max_size=4, unique=True))
    return {
        "files": {f"{place}{name}.pdf": b"%PDF" for place, name in enumerate(names)},
        "missing": draw(st.sampled_from([(), ("Borte.pdf",)])),
        "title": draw(ANY_TEXT),
        "sender_name": draw(ANY_TEXT),
        "sender_org": draw(st.none() | st.just("974761076")),
        "sender_reference": draw(ANY_TEXT),
        "body": draw(st.just("<p>Hei</p>") | st.just("")),
        "body_type": draw(st.sampled_from(["text/html", "text/markdown", "text/plain"])),
        "confidential": draw(st.booleans()),
        "due_at": draw(st.none() | TIMES),
        "published_at": draw(TIMES),
    }


def rendered(parcel: Parcel, which: str) -> bytes:
    items = [*contents.attachments(parcel), contents.text(parcel)]
    (item,) = contents.archive_formats(parcel, [which], items)
    return b"".join(item.chunks())


def assert_valid(document: bytes, *schemas: str) -> Any:
    tree = etree.fromstring(document)
    for name in schemas:
        schema(name).assertValid(tree)
    return tree


@given(letter=letters())
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)  # the fixture is a plain function
def test_arkivmelding_is_valid_by_both_schemas(
    make_parcel: MakeParcel, letter: dict[str, Any]
) -> None:
    """Whatever the letter is, the schemas of eFormidling's documentation and of its code both
    accept it."""
    assert_valid(rendered(make_parcel(**letter), "arkivmelding"), *ARKIVMELDING)


@given(letter=letters())
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)  # likewise
def test_fiks_arkiv_is_valid(make_parcel: MakeParcel, letter: dict[str, Any]) -> None:
    """Whatever the letter is, the schema of Fiks Arkiv v1 accepts it."""
    assert_valid(rendered(make_parcel(**letter), "fiks-arkiv"), FIKS)


def test_the_schemas_would_notice(make_parcel: MakeParcel) -> None:
    """The schemas are really asked: without its title the letter is not valid by any of them."""
    for which, names in (("arkivmelding", ARKIVMELDING), ("fiks-arkiv", (FIKS,))):
        tree = etree.fromstring(rendered(make_parcel(), which))
        (title,) = tree.xpath("//*[@*='journalpost']/*[local-name()='tittel']")
        title.getparent().remove(title)
        assert not any(schema(name).validate(tree) for name in names)


@pytest.mark.parametrize("which", ["arkivmelding", "fiks-arkiv"])
def test_the_same_letter_gives_the_same_bytes(make_parcel: MakeParcel, which: str) -> None:
    """Nothing in it depends on when, or how often, it is made."""
    assert rendered(make_parcel(), which) == rendered(make_parcel(), which)


def test_arkivmelding_tells_the_letter(make_parcel: MakeParcel) -> None:
    """Title, parties, days, documents in their order and their hashes are where an archive looks
    for them."""
    files = {"Vedtak.pdf": b"%PDF", "Kart.png": b"png"}
    parcel = make_parcel(
        files=files,
        due_at=datetime(2026, 4, 1, 22, 30, tzinfo=UTC),
        title="Vedtak <om> mva & avgift",
    )
    tree = assert_valid(rendered(parcel, "arkivmelding"), *ARKIVMELDING)
    assert texts(tree, "//n:basisregistrering/n:tittel", NOARK) == ["Vedtak <om> mva & avgift"]
    assert texts(tree, "//n:korrespondansepartNavn", NOARK) == ["Skatteetaten", "991825827"]
    assert texts(tree, "//n:forfallsdato", NOARK) == ["2026-04-02"]  # half past midnight, in Norway
    assert texts(tree, "//n:referanseDokumentfil", NOARK) == [
        "001-vedtak.pdf",
        "002-kart.png",
        "body.md",
    ]
    assert texts(tree, "//n:tilknyttetRegistreringSom", NOARK) == [
        "Hoveddokument",
        "Vedlegg",
        "Vedlegg",
    ]
    assert texts(tree, "//n:antallFiler", NOARK) + texts(tree, "//n:antallVedlegg", NOARK) == [
        "3",
        "2",
    ]
    assert texts(tree, "//n:sha256[@fil='001-vedtak.pdf']", NOARK) == [parcel.parts[0].sha256]
    assert texts(tree, "//n:administrativEnhet", NOARK) == ["Regnskapsavdelingen"] * 2


def test_confidential_post_is_shielded(make_parcel: MakeParcel) -> None:
    """An archive that reads arkivmelding does not show confidential post to everybody."""
    tree = assert_valid(rendered(make_parcel(confidential=True), "arkivmelding"), *ARKIVMELDING)
    assert texts(tree, "//n:tilgangsrestriksjon", NOARK) == ["Taushetsbelagt post"]
    assert (
        texts(etree.fromstring(rendered(make_parcel(), "arkivmelding")), "//n:skjerming", NOARK)
        == []
    )


def test_fiks_arkiv_tells_the_letter(make_parcel: MakeParcel) -> None:
    """Original names, sizes, hashes and the key that recognises a repeat are where an archive looks
    for them."""
    parcel = make_parcel(files={"Vedtak «endelig» på Ås.pdf": b"%PDF"})
    tree = assert_valid(rendered(parcel, "fiks-arkiv"), FIKS)
    assert texts(tree, "//f:filnavn", KS) == ["Vedtak «endelig» på Ås.pdf", "body.md"]
    assert texts(tree, "//f:sjekksum", KS)[0] == parcel.parts[0].sha256
    assert texts(tree, "//f:filstoerrelse", KS)[0] == "4"
    assert texts(tree, "//m:noekkel", KS) == [str(parcel.document.id)]
    assert texts(tree, "//f:organisasjonid", KS) == ["974761076", "991825827"]


def test_a_rendering_stands_for_the_text(tmp_path: Path, make_parcel: MakeParcel) -> None:
    """Where letter.pdf is made, an archive gets that and not the text beside it; every file that is
    named lies in the drop."""
    pytest.importorskip("fpdf", reason="fpdf2 is not installed")
    options = {
        "path": str(tmp_path),
        "letter_pdf": True,
        "formats": ["json", "arkivmelding", "fiks-arkiv"],
    }
    folder = Path(
        hand_over(FileDrop("erp", Settings.model_validate(options)), make_parcel()).reference
    )
    for name in (arkivmelding.FILE_NAME, fiks_arkiv.FILE_NAME):
        files = list(named_files((folder / name).read_bytes()))
        assert files == ["001-vedtak-om-mva.pdf", "letter.pdf"]
        assert all((folder / file).is_file() for file in files)


def named_files(document: bytes) -> Iterator[str]:
    for element in etree.fromstring(document).iter("{*}referanseDokumentfil"):
        yield str(element.text)


def texts(tree: Any, path: str, namespaces: dict[str, str]) -> list[str]:
    return [each.text for each in tree.xpath(path, namespaces=namespaces)]
