"""Altinn 2's operations for a recipient, in the Basic variant of its SOAP interfaces.

The Basic variant is SOAP 1.1 with six credentials in the body. Only what reading needs is here:
nothing archives, nothing deletes. zeep writes the requests and reads the responses.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from connectors.altinn2.soap_faults import LOGIN, AltinnFault, fault_in
from connectors.altinn2.spool import Spooled
from connectors.altinn2.unpack import unpack
from connectors.net.retry_after import http_date
from connectors.soap.call import AnswerTooLarge, CallFailed, SoapAnswer, SoapCaller
from connectors.soap.wsdl import WholeTransport, open_wsdl, zeep_settings
from daemon.core.elapsed import SourceTime, elapsed
from daemon.core.errors import AccessRefused, MailboxUnavailable

if TYPE_CHECKING:
    from lxml.etree import _Element as Element
    from zeep.wsdl import Document

_ALTINN = "http://www.altinn.no/services"
_LANGUAGE = 1044  # bokmål
_SERVER_ERROR = 500
_XML = frozenset({"text/xml", "application/xml", "application/soap+xml"})


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """The login parameters by name. `repr` does not show them."""

    values: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class _Port:
    wsdl: str
    binding: str
    path: str


_LIST = _Port(
    wsdl="list.wsdl",
    binding=f"{{{_ALTINN}/ServiceEngine/ReporteeElementList/2009/10}}"
    "BasicHttpBinding_IReporteeElementListExternalBasic",
    path="/ServiceEngineExternal/ReporteeElementListExternalBasic.svc",
)
_CORRESPONDENCE = _Port(
    wsdl="correspondence.wsdl",
    binding=f"{{{_ALTINN}/ServiceEngine/Correspondence/2009/10}}"
    "BasicHttpBinding_ICorrespondenceExternalBasic",
    path="/ServiceEngineExternal/CorrespondenceExternalBasic.svc",
)
_ARCHIVE = _Port(
    wsdl="archive.wsdl",
    binding=f"{{{_ALTINN}/Archive/ReporteeArchive/2009/10}}"
    "BasicHttpBinding_IReporteeArchiveExternalBasic",
    path="/ArchiveExternal/ReporteeArchiveExternalBasic.svc",
)


@dataclass(frozen=True, kw_only=True)
class Result:
    """What an operation returned, with the attachments that came with it."""

    value: Any
    """None for nothing."""
    parts: list[Spooled]
    """The attachments, which `AttachmentData` in `value` names by number."""

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Close the attachments if what is done with them fails."""
        try:
            yield
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the attachments. May be called twice."""
        for each in self.parts:
            each.close()


class Faulted(Exception):
    """Altinn 2 answered with an AltinnFault."""

    def __init__(self, fault: AltinnFault) -> None:
        self.fault = fault
        super().__init__(f"ErrorID {fault.number}")


class Altinn2Service:
    """The operations.

    They may be called from several threads, and run one at a time because an answer can be large.

    All raise MailboxUnavailable or AccessRefused, and `confirm` Faulted. After a refused login
    nothing is sent for `refusal_lasts` seconds.
    """

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        new_caller: Callable[[], SoapCaller],
        refusal_lasts: float,
    ) -> None:
        self._url = url
        self._credentials = credentials
        self._new_caller = new_caller
        self._refusal_lasts = refusal_lasts
        self._refused: tuple[float, AccessRefused] | None = None
        self._one_at_a_time = threading.Lock()
        self.heard: SourceTime | None = None
        """The time that the server last sent."""

    def elements(
        self, party: str, code: str, after: datetime | None, before: datetime
    ) -> list[Any]:
        """List what inbox and archive hold under a service code in that period.

        It is not documented which of a letter's times counts.
        """
        search = {
            "Reportee": party,
            "FromDate": after,
            "ToDate": before,
            "ServiceCodeList": {"string": [code]},
        }
        about = f"the list of {party}"
        result = self._ask(
            _LIST, "GetReporteeElementListBasicV2", about, searchBE=search, languageID=_LANGUAGE
        )
        rows = result.value or []
        rows = rows if isinstance(rows, list) else rows.ReporteeElementBEV2 or []
        return [each for each in rows if each is not None]

    def letter(self, element: int, about: str) -> Result:
        """Fetch a letter from the inbox.

        **Altinn marks it as read**, even if the response is lost.
        """
        numbers = {"correspondenceID": element, "languageID": _LANGUAGE}
        return self._ask(
            _CORRESPONDENCE, "GetCorrespondenceForEndUserSystemsBasicV2", about, **numbers
        )

    def archived_letter(self, archive_id: int, about: str) -> Result:
        """Fetch a letter from the archive, as it was when archived. Changes nothing."""
        return self._ask(_ARCHIVE, "GetArchivedCorrespondenceBasic", about, archiveId=archive_id)

    def archived_attachment(self, attachment_id: int, about: str) -> Result:
        """Fetch an attachment of an archived letter. Changes nothing."""
        return self._ask(_ARCHIVE, "GetAttachmentDataBasicV2", about, attachmentId=attachment_id)

    def confirm(self, element: int, about: str) -> None:
        """Confirm a letter in the inbox. Raises Faulted too."""
        with self._one_at_a_time:
            self._call(
                _CORRESPONDENCE,
                "SaveCorrespondenceConfirmationBasic",
                about,
                {"reporteeElementID": element},
            )

    def _ask(self, port: _Port, operation: str, about: str, **values: Any) -> Result:
        try:
            with self._one_at_a_time:
                return self._call(port, operation, about, values)
        except Faulted as faulted:
            raise faulted.fault.error(about) from None

    def _call(self, port: _Port, operation: str, about: str, values: Mapping[str, Any]) -> Result:
        self._refuse_again()
        with closing(self._new_caller()) as caller:
            transport = _Unpacking(caller, operation)
            try:
                return self._answer(transport, port, operation, about, values)
            finally:
                self.heard = transport.heard or self.heard

    def _answer(
        self,
        transport: _Unpacking,
        port: _Port,
        operation: str,
        about: str,
        values: Mapping[str, Any],
    ) -> Result:
        try:
            value = self._send(transport, port, operation, values)
        except AnswerTooLarge as error:
            transport.discard()
            raise MailboxUnavailable(
                f"Altinn 2 did not return all of {about}: {error}; raise largest_letter, or open "
                "it in Altinn 2, which has marked it as read in any case"
            ) from None
        except CallFailed as error:
            transport.discard()
            raise MailboxUnavailable(
                f"Altinn 2 did not return {about}: {error}", retry_after=transport.wait
            ) from None
        except BaseException:
            transport.discard()
            raise
        return Result(value=value, parts=transport.parts)

    def _send(
        self, transport: _Unpacking, port: _Port, operation: str, values: Mapping[str, Any]
    ) -> Any:
        from zeep import Client
        from zeep.exceptions import Error, Fault

        new_client: Any = Client  # zeep is not typed
        client = new_client(
            self._documents[port.wsdl], transport=transport, settings=zeep_settings(huge=True)
        )
        try:
            return client.create_service(port.binding, self._url + port.path)[operation](
                **self._credentials.values, **values
            )
        except Fault as error:
            raise self._faulted(error.detail) from None
        except (Error, ValueError, LookupError, AttributeError, TypeError) as error:
            # zeep fails in many ways on an answer that breaks the contract, and its texts quote the
            # answer
            raise CallFailed(f"its answer breaks the contract ({type(error).__name__})") from None

    def _faulted(self, detail: Element | None) -> Exception:
        fault = fault_in(detail)
        if fault is None:
            return CallFailed(
                "it answers with a fault without details, as a gateway does, not Altinn"
            )
        if fault.number in LOGIN:
            error = fault.error("to be asked")
            if isinstance(error, AccessRefused):
                self._refused = (time.monotonic() + self._refusal_lasts, error)
        return Faulted(fault)

    def _refuse_again(self) -> None:
        refused = self._refused
        if refused and time.monotonic() < refused[0]:
            raise AccessRefused(str(refused[1]))

    @cached_property
    def _documents(self) -> dict[str, Document]:
        """The WSDLs in this folder, read when first needed."""
        folder = Path(__file__).parent
        return {
            each.wsdl: open_wsdl(str(folder / each.wsdl), settings=zeep_settings(huge=True))
            for each in (_LIST, _CORRESPONDENCE, _ARCHIVE)
        }


class _Unpacking(WholeTransport):
    """The transport of one call, which keeps the answer's attachments."""

    def __init__(self, caller: SoapCaller, operation: str) -> None:
        super().__init__(caller)
        self._operation = operation
        self.parts: list[Spooled] = []
        self.wait: Any = None
        self.heard: SourceTime | None = None

    def post_xml(self, address: str, envelope: Element, headers: Mapping[str, str]) -> SoapAnswer:
        """Send an envelope, once; zeep calls this."""
        answer = super().post_xml(address, envelope, headers)
        self.wait = answer.wait
        if answer.media_type not in _XML:
            raise CallFailed(
                f"{_kind(answer)} came instead of an answer, with status "
                f"{answer.status_code}; it is tried again at the next poll"
            )
        date = http_date(answer.headers.get("date", ""))
        self.heard = SourceTime(date=date, at=elapsed()) if date else None
        lean, self.parts = unpack(answer, self._operation)
        return lean

    def discard(self) -> None:
        """Close the attachments that came."""
        for each in self.parts:
            each.close()


def _kind(answer: SoapAnswer) -> str:
    return "a web page" if answer.media_type == "text/html" else "something else"
