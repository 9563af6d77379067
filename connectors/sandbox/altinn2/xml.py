"""SOAP messages of the simulated Altinn 2: requests checked exactly by tables, responses in pieces.

None of the pieces is large.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any
from xml.sax.saxutils import escape

from connectors.parcel.xml_characters import NOT_XML
from connectors.sandbox.http_server import Request, Response, Stream
from connectors.soap.xml import UnsafeXml, parse
from daemon.core.times import NORWAY, in_norway

_SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_ALTINN = "http://www.altinn.no/services"
_SCHEMAS = "http://schemas.altinn.no/services"
_LIST = f"{_ALTINN}/ServiceEngine/ReporteeElementList/2009/10"
_ROWS = f"{_ALTINN}/ServiceEngine/ReporteeElementList/2010/10"
_LETTER = f"{_ALTINN}/ServiceEngine/Correspondence/2009/10"
_ARCHIVE = f"{_ALTINN}/Archive/ReporteeArchive/2009/10"
_SEARCH = f"{_SCHEMAS}/Archive/ReporteeArchive/2009/10"
_STRINGS = "http://schemas.microsoft.com/2003/10/Serialization/Arrays"
_FAULT = f"{_ALTINN}/common/fault/2009/10"
_CONTENTS = MappingProxyType({
    "correspondence": f"{_SCHEMAS}/ServiceEngine/Correspondence/2010/10",
    "attachment": _ROWS,
    "link": f"{_SCHEMAS}/ServiceEngine/Correspondence/2009/10",
    "list": f"{_SCHEMAS}/ServiceEngine/Notification/2009/10",
})  # fmt: skip  # one line for each
CREDENTIALS = (
    "systemUserName",
    "systemPassword",
    "userSSN",
    "userPassword",
    "userPinCode",
    "authMethod",
)

Fields = Sequence[tuple[str, Any]]
"""Names and values, in the schema's order: text, numbers, Raw for a type of another namespace, an
iterator of bytes; None for nil.
"""


@dataclass(frozen=True)
class Raw:
    """The fields of a type that has a namespace of its own."""

    kind: str
    fields: Fields


@dataclass(frozen=True, kw_only=True)
class _Operation:
    kind: str
    path: str
    namespace: str
    interface: str
    name: str
    parameters: tuple[str, ...]
    result: str
    """The namespace of the result's content."""


def _operation(
    kind: str, namespace: str, interface: str, name: str, *parameters: str, result: str = ""
) -> _Operation:
    path = "/ArchiveExternal/" if namespace == _ARCHIVE else "/ServiceEngineExternal/"
    service = interface.removeprefix("I")
    return _Operation(
        kind=kind,
        path=f"{path}{service}.svc",
        namespace=namespace,
        interface=interface,
        name=name,
        parameters=parameters,
        result=result,
    )


_OPERATIONS = {
    each.name: each
    for each in (
        _operation(
            "list",
            _LIST,
            "IReporteeElementListExternalBasic",
            "GetReporteeElementListBasicV2",
            "searchBE",
            "languageID",
            result=_ROWS,
        ),
        _operation(
            "letter",
            _LETTER,
            "ICorrespondenceExternalBasic",
            "GetCorrespondenceForEndUserSystemsBasicV2",
            "correspondenceID",
            "languageID",
            result=_CONTENTS["correspondence"],
        ),
        _operation(
            "confirm",
            _LETTER,
            "ICorrespondenceExternalBasic",
            "SaveCorrespondenceConfirmationBasic",
            "reporteeElementID",
        ),
        _operation(
            "archived",
            _ARCHIVE,
            "IReporteeArchiveExternalBasic",
            "GetArchivedCorrespondenceBasic",
            "archiveId",
            result=f"{_SCHEMAS}/Archive/ReporteeArchive/2019/07",
        ),
        _operation(
            "attachment",
            _ARCHIVE,
            "IReporteeArchiveExternalBasic",
            "GetAttachmentDataBasicV2",
            "attachmentId",
            result=_ROWS,
        ),
    )
}
_SEARCH_FIELDS = (
    "ArchiveReference", "CaseID", "CollectionPages", "EDialogue", "FromDate", "Reportee",
    "SearchName", "SearchString", "SentAndArchived", "ServiceCodeList", "ServiceOwnerCode",
    "ToBeProcessed", "ToBeProcessedByOthers", "ToDate",
)  # fmt: skip  # in the schema's order
_SEARCH_NEEDS = {"FromDate", "Reportee", "ToDate"}


class BadRequest(Exception):
    """A request that breaks the contract."""

    def __init__(self, words: str, status: int = 500) -> None:
        super().__init__(words)
        self.response = _fault(
            f"<faultcode>s:Client</faultcode><faultstring>{escape(words)}</faultstring>", status
        )


@dataclass(frozen=True, kw_only=True)
class Call:
    """A valid request."""

    operation: _Operation
    texts: Mapping[str, str]
    times: Mapping[str, datetime]
    codes: tuple[str, ...]

    @property
    def kind(self) -> str:
        """One of list, letter, confirm, archived, attachment."""
        return self.operation.kind


def read_call(request: Request) -> Call:
    """Return what a request asks for. Raises BadRequest."""
    if request.method != "POST" or not request.headers.get("content-type", "").startswith(
        "text/xml"
    ):
        raise BadRequest("a POST of text/xml is wanted", 415)
    try:
        root = parse(request.body)
    except UnsafeXml as error:
        raise BadRequest(f"the request {error}", 400) from None
    bodies = [each for each in root if each.tag == f"{{{_SOAP}}}Body"]
    if root.tag != f"{{{_SOAP}}}Envelope" or len(bodies) != 1 or len(bodies[0]) != 1:
        raise BadRequest("no SOAP 1.1 envelope with one body and one operation")
    return _read_operation(request, bodies[0][0])


def _read_operation(request: Request, element: Any) -> Call:
    name = element.tag.rpartition("}")[2]
    operation = _OPERATIONS.get(name)
    if (
        operation is None
        or element.tag != f"{{{operation.namespace}}}{name}"
        or request.path != operation.path
    ):
        raise BadRequest("no such operation at this address")
    if (
        request.headers.get("soapaction", "").strip('"')
        != f"{operation.namespace}/{operation.interface}/{name}"
    ):
        raise BadRequest("the SOAPAction is of another operation")
    wanted = (*CREDENTIALS, *operation.parameters)
    if [each.tag for each in element] != [f"{{{operation.namespace}}}{each}" for each in wanted]:
        raise BadRequest("the parameters are not those of the operation, or in another order")
    texts: dict[str, str] = {}
    times: dict[str, datetime] = {}
    codes: tuple[str, ...] = ()
    for parameter, value in zip(wanted, element, strict=True):
        if parameter == "searchBE":
            found, times, codes = _read_search(value)
            texts |= found
        else:
            texts[parameter] = value.text or ""
    if any(
        not re.fullmatch("[0-9]{1,10}", texts[each])
        for each in operation.parameters
        if each != "searchBE"
    ):
        raise BadRequest("a number is wanted")
    return Call(operation=operation, texts=texts, times=times, codes=codes)


def _read_search(search: Any) -> tuple[dict[str, str], dict[str, datetime], tuple[str, ...]]:
    names = [each.tag.removeprefix(f"{{{_SEARCH}}}") for each in search]
    places = [_SEARCH_FIELDS.index(each) if each in _SEARCH_FIELDS else -1 for each in names]
    if -1 in places or places != sorted(set(places)) or not set(names) >= _SEARCH_NEEDS:
        raise BadRequest(
            "the search has fields that are unknown, missing, or not in the alphabet's order"
        )
    by_name = dict(zip(names, search, strict=True))
    times = {
        name: _time(by_name[name].text or "")
        for name in ("FromDate", "ToDate")
        if by_name[name].get(f"{{{_XSI}}}nil") != "true"
    }
    codes = (
        [each.text or "" for each in by_name["ServiceCodeList"]]
        if "ServiceCodeList" in by_name
        else []
    )
    if any(each.tag != f"{{{_STRINGS}}}string" for each in by_name.get("ServiceCodeList", ())):
        raise BadRequest("the list of service codes is not a list of strings")
    return {"Reportee": by_name["Reportee"].text or ""}, times, tuple(codes)


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise BadRequest("a date is not valid") from None
    return time if time.tzinfo else time.replace(tzinfo=NORWAY)


def local(moment: datetime | None) -> str | None:
    """Return a time as Altinn 2 writes it: Norwegian, without a zone, at most milliseconds."""
    if moment is None:
        return None
    text = in_norway(moment).replace(tzinfo=None).isoformat(timespec="milliseconds")
    return text.rstrip("0").rstrip(".") if "." in text else text


def altinn_fault(number: int, words: str) -> Response:
    """Return a fault in Altinn's format."""
    told = "".join(
        f"<{name}>{escape(text)}</{name}>"
        for name, text in (
            ("AltinnErrorMessage", words),
            ("AltinnExtendedErrorMessage", "No information available"),
            ("AltinnLocalizedErrorMessage", words),
            ("ErrorGuid", "7b0f4b1e-0000-4255-9d7e-1f2a3b4c5d6e"),
            ("ErrorID", str(number)),
            ("UserGuid", "-no value-"),
            ("UserId", ""),
        )
    )
    detail = f'<detail><AltinnFault xmlns="{_FAULT}">{told}</AltinnFault></detail>'
    return _fault(
        '<faultcode>s:Client</faultcode><faultstring xml:lang="nb-NO">An error '
        f"occurred</faultstring>{detail}"
    )


def _fault(inside: str, status: int = 500) -> Response:
    text = (
        f'<s:Envelope xmlns:s="{_SOAP}"><s:Body><s:Fault>{inside}</s:Fault></s:Body></s:Envelope>'
    )
    return Response(
        status=status, body=text.encode(), headers=(("Content-Type", "text/xml; charset=utf-8"),)
    )


def answer(call: Call, fields: Any) -> Response:
    """Return the response with an operation's result.

    The result is fields, a name and rows for a list, None for nothing, or no fields for an
    operation without a result.
    """
    pieces = list(_envelope(call, fields))
    return Response(
        status=200,
        body=Stream(
            chunks=(
                each
                for piece in pieces
                for each in ([piece] if isinstance(piece, bytes) else _base64(piece))
            ),
            length=0,
        ),
        headers=(("Content-Type", "text/xml; charset=utf-8"),),
    )


def _envelope(call: Call, fields: Any) -> Iterator[bytes | Iterable[bytes]]:
    operation = call.operation
    yield (
        f'<s:Envelope xmlns:s="{_SOAP}" xmlns:i="{_XSI}"><s:Body><{operation.name}Response '
        f'xmlns="{operation.namespace}">'
    ).encode()
    if fields is None:
        yield f'<{operation.name}Result i:nil="true"/>'.encode()
    elif operation.result:
        yield f'<{operation.name}Result xmlns:r="{operation.result}">'.encode()
        if isinstance(fields[0], str):
            name, rows = fields
            for row in rows:
                yield f"<r:{name}>".encode()
                yield from _written(row, "r")
                yield f"</r:{name}>".encode()
        else:
            yield from _written(fields, "r")
        yield f"</{operation.name}Result>".encode()
    yield f"</{operation.name}Response></s:Body></s:Envelope>".encode()


def _written(fields: Fields, prefix: str) -> Iterator[bytes | Iterable[bytes]]:
    for name, value in fields:
        tag = f"{prefix}:{name}"
        if value is None:
            yield f'<{tag} i:nil="true"/>'.encode()
        elif isinstance(value, Raw):
            inner = f"{prefix}n"
            yield f'<{tag} xmlns:{inner}="{_CONTENTS[value.kind]}">'.encode()
            yield from _written(value.fields, inner)
            yield f"</{tag}>".encode()
        elif isinstance(value, (str, int)):
            text = str(value).lower() if isinstance(value, bool) else str(value)
            yield f"<{tag}>{NOT_XML.sub(_reference, escape(text))}</{tag}>".encode()
        else:
            yield f"<{tag}>".encode()
            yield value
            yield f"</{tag}>".encode()


def _reference(found: re.Match[str]) -> str:
    """Return a character reference, even if XML does not allow it.

    .NET writes such references unless it is set to check.
    """
    return f"&#x{ord(found[0]):X};"


def _base64(chunks: Iterable[bytes]) -> Iterator[bytes]:
    left = b""
    for chunk in chunks:
        data = left + chunk
        whole = len(data) // 3 * 3
        left = data[whole:]
        yield base64.b64encode(data[:whole])
    yield base64.b64encode(left)
