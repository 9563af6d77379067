"""Which elements of a SOAP answer say whether the service took the letter."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.destinations.soap import connect
from connectors.sandbox.altinn3.server import FakeAltinn
from connectors.sandbox.setup import Scene, prepare, prepare_archive
from connectors.sandbox.sinks.soap import BY_NAME, WSDL, SoapSink
from connectors.soap.answer_fields import AnswerField, reference_of, status_of
from connectors.soap.describe import describe
from connectors.soap.shape import choose
from connectors.soap.wsdl import open_wsdl
from daemon.core.errors import PermanentFailure, TemporaryFailure
from tests.conftest import MakeParcel
from tests.connectors.soap_tools import settings

_STATUS = '<xs:element name="Status" type="xs:string"/>'
_CASE = '<xs:element name="CaseNumber" type="xs:string" minOccurs="0"/>'


def _warnings(url: str, **options: Any) -> list[str]:
    found = connect("arkiv", settings(url, **options)).check()
    return [each.text for each in found if each.ok and each.warning]


@pytest.fixture
def sink() -> Iterator[SoapSink]:
    with SoapSink() as sink:
        yield sink


def test_check_warns_of_a_status_that_no_setting_reads(sink: SoapSink) -> None:
    """An answer that refuses a letter in its status would count as delivered; `check` names the
    element and what to write, from a WSDL in a file or at a web address."""
    for wsdl in (str(WSDL), sink.wsdl_url):
        (warning,) = _warnings(sink.url, wsdl=wsdl)
        assert "has an element Status, which success_field does not name" in warning
        assert 'write success_field = "Status"' in warning
        assert not _warnings(sink.url, wsdl=wsdl, success_field="Status", success_values=["OK"])


def test_what_the_sandbox_writes_tells_a_refusal_from_a_delivery(
    tmp_path: Path, make_parcel: MakeParcel
) -> None:
    """A letter that the sandbox's archive rejects is dead and not delivered, one that it is too
    busy for is tried later, and an accepted one has the archive's case number."""
    with FakeAltinn() as altinn, SoapSink() as sink:
        scene = Scene(folder=tmp_path)
        path = prepare_archive(altinn, prepare(altinn, scene), sink, scene)
        section = tomllib.loads(path.read_text())["destination"]["arkiv"]
        section.pop("type")
        archive = connect("arkiv", settings("", tmp_path, **section))
        for reply, failure in (("busy", TemporaryFailure), ("rejected", PermanentFailure)):
            sink.script(BY_NAME[reply])
            with pytest.raises(failure, match="in Status"):
                archive.deliver(make_parcel())
        assert archive.deliver(make_parcel()).reference == "2026/1"
        assert [each.ok and not each.warning for each in archive.check()] == [True]


@pytest.mark.parametrize(
    ("answer", "status", "reference"),
    [
        (_STATUS + _CASE, AnswerField(name="Status"), AnswerField(name="CaseNumber")),
        (
            '<xs:element name="SUKSESS" type="xs:boolean"/>',
            AnswerField(name="SUKSESS", values=("true", "1")),
            None,
        ),
        (
            '<xs:element name="Sak" type="a:Deep"/><xs:element name="Svar" type="a:Deep"/>',
            AnswerField(name="Sak.Status"),
            None,
        ),
        ('<xs:element name="StatusText" type="xs:string"/>', None, None),
        ('<xs:element name="Status" type="a:Deep"/>', AnswerField(name="Status.Status"), None),
        ("", None, None),
    ],
)
def test_which_element_is_the_status(
    answer: str, status: AnswerField | None, reference: AnswerField | None, tmp_path: Path
) -> None:
    """The one nearest to the top whose name says so, dotted if the name alone is ambiguous; an
    answer without one is left alone."""
    path = tmp_path / "a.wsdl"
    deep = f'<xs:complexType name="Deep"><xs:sequence>{_STATUS}</xs:sequence></xs:complexType>'
    path.write_text(
        WSDL.read_text()
        .replace(_STATUS, answer.removesuffix(_CASE))
        .replace(_CASE, _CASE if _CASE in answer else "")
        .replace('<xs:complexType name="Party">', deep + '<xs:complexType name="Party">')
    )
    operation = choose(open_wsdl(str(path), None), "", "", "ReceiveDocument")
    assert (status_of(operation), reference_of(operation)) == (status, reference)
    section = tomllib.loads(describe(str(path)))["destination"]["arkiv"]
    assert section.get("success_field") == (status.name if status else None)
    if status and status.values:
        assert section["success_values"] == list(status.values)
