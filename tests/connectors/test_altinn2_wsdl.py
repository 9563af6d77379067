"""Our own WSDLs against those that Altinn served: what the one writes the other reads. Skipped
where the latter are not at hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from connectors.soap.wsdl import open_wsdl, zeep_settings

OURS = Path(__file__).parents[2] / "connectors" / "altinn2"
THEIRS = Path(__file__).parents[3] / "shared" / "contracts" / "altinn2-wsdl"
OPERATIONS = [
    (
        "correspondence.wsdl",
        "CorrespondenceExternalBasicSF.wsdl",
        "GetCorrespondenceForEndUserSystemsBasicV2",
    ),
    (
        "correspondence.wsdl",
        "CorrespondenceExternalBasicSF.wsdl",
        "SaveCorrespondenceConfirmationBasic",
    ),
    ("list.wsdl", "ReporteeElementListExternalBasicSF.wsdl", "GetReporteeElementListBasicV2"),
]
needs_theirs = pytest.mark.skipif(
    not THEIRS.is_dir(), reason="the WSDLs that Altinn served are no part of the project"
)


def operation(path: Path, name: str) -> Any:
    document: Any = open_wsdl(str(path), settings=zeep_settings())
    return next(each.get(name) for each in document.bindings.values() if name in each._operations)


def filled(kind: Any, depth: int = 0) -> Any:
    """A value of a type with every field set, as far as one goes in good faith."""
    if not hasattr(kind, "elements"):
        accepted = {
            "int": 7,
            "long": 7,
            "boolean": True,
            "base64Binary": b"data",
            "dateTime": "2026-03-12T12:00:00",
        }
        return accepted.get(kind.name, "tekst")
    values = {}
    for name, element in kind.elements:
        deep = filled(element.type, depth + 1) if depth < 6 else None
        values[name] = [deep] if element.accepts_multiple else deep
    return kind(**values)


@needs_theirs
@pytest.mark.parametrize(("ours", "theirs", "name"), OPERATIONS)
@pytest.mark.parametrize("part", ["input", "output"])
def test_each_reads_what_the_other_writes(ours: str, theirs: str, name: str, part: str) -> None:
    """A message with every field set, written from either WSDL, is read by the other and says the
    same again; the action is the same."""
    mine, other = operation(OURS / ours, name), operation(THEIRS / theirs, name)
    assert mine.soapaction == other.soapaction
    for writer, reader in ((mine, other), (other, mine)):
        written = element_of(writer, part)
        text = render(written, filled(written.type))
        read = element_of(reader, part).parse(etree.fromstring(text), None)
        assert render(element_of(reader, part), read or element_of(reader, part).type()) == text


def element_of(operation: Any, part: str) -> Any:
    return getattr(operation, part).body


def render(element: Any, value: Any) -> bytes:
    parent = etree.Element("root")
    element.render(parent, value)
    text: bytes = etree.tostring(parent[0], method="c14n")
    return text


def test_our_own_are_read_without_a_remark() -> None:
    """Each of our WSDLs loads by itself, with exactly the operations that are used."""
    found = {
        path.name: sorted(
            name for each in open_wsdl(str(path)).bindings.values() for name in each._operations
        )
        for path in OURS.glob("*.wsdl")
    }
    assert found == {
        "archive.wsdl": ["GetArchivedCorrespondenceBasic", "GetAttachmentDataBasicV2"],
        "correspondence.wsdl": [
            "GetCorrespondenceForEndUserSystemsBasicV2",
            "SaveCorrespondenceConfirmationBasic",
        ],
        "list.wsdl": ["GetReporteeElementListBasicV2"],
    }
