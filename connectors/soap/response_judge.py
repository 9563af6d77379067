"""Judge a SOAP response: the letter is delivered, try later, or never.

None of the response's own words are shown, except codes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectors.net.status import SUCCESSES, Remedies, judge
from connectors.soap.call import SoapAnswer
from connectors.soap.mtom import root_of
from connectors.soap.xml import UnsafeXml, parse
from daemon.core.errors import DeliveryFailure, PermanentFailure, TemporaryFailure

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

_ACCEPTED = (202, 204)
_REMEDIES = Remedies(
    unauthorized="check authentication, username and password_file",
    forbidden="check the service's access rules, and authentication",
    not_found="correct address, or make the service answer there",
    no_post="correct address: what is there does not accept POST",
    proxy="check the proxy in front of the service",
    media_type='write attachments = "mtom" or "base64", whichever it is not now',
    redirect="write the final address in address",
)
_ENVELOPES = (
    "http://schemas.xmlsoap.org/soap/envelope/",
    "http://www.w3.org/2003/05/soap-envelope",
)
_FOR_EVER = frozenset(
    {"Client", "Sender", "VersionMismatch", "MustUnderstand", "DataEncodingUnknown"}
)
_OF_SECURITY = frozenset(
    {
        "FailedAuthentication",
        "InvalidSecurity",
        "InvalidSecurityToken",
        "SecurityTokenUnavailable",
        "MessageExpired",
    }
)
_PLAIN = re.compile(r"[A-Za-z0-9_.:/-]{1,60}")


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The operator's rules for the service's responses.

    Fields are dotted names of elements in the response.
    """

    success_field: str = ""
    success_values: tuple[str, ...] = ()
    temporary_values: tuple[str, ...] = ()
    reference_field: str = ""
    temporary_faults: tuple[str, ...] = ()
    permanent_faults: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ResponseJudge:
    """Judges the responses of the service that is called `who`.

    `answers`: its operation has an output.
    """

    who: str
    rules: Rules
    answers: bool = True

    def judge(self, answer: SoapAnswer) -> str:
        """Return the receiver's own reference for the letter.

        It is empty if the response has none that is a plain code. Raises DeliveryFailure.
        """
        answer = root_of(answer)
        if (
            answer.status_code in SUCCESSES
            and not answer.content
            and (not self.answers or answer.status_code in _ACCEPTED)
        ):
            return ""
        body = self._body(answer)
        fault = next((each for each in body if _local(each) == "Fault"), None)
        if fault is not None:
            raise self._fault(fault, answer)
        if failure := self._by_status(answer):
            raise failure
        self._check_field(body)
        reference = _text(body, self.rules.reference_field) if self.rules.reference_field else ""
        return reference if _PLAIN.fullmatch(reference) else ""

    def _body(self, answer: SoapAnswer) -> Element:
        try:
            root = parse(answer.content)
        except UnsafeXml as error:
            raise self._no_soap(answer, str(error)) from error
        body = next(
            (
                root.find(f"{{{namespace}}}Body")
                for namespace in _ENVELOPES
                if root.tag == f"{{{namespace}}}Envelope"
            ),
            None,
        )
        if body is None:
            raise self._no_soap(answer, "is XML, but not SOAP")
        return body

    def _no_soap(self, answer: SoapAnswer, what: str) -> DeliveryFailure:
        if _is_html(answer):
            what = "is a web page (HTML), as a login or an error page would be"
        elif failure := self._by_status(answer):
            return failure
        elif not answer.content:
            what = "is empty"
        status = answer.status_code
        remedy = _REMEDIES.of(status) or "check address, and any proxy in front of the service"
        text = f"{self.who} answers with status {status}, but its answer {what}; {remedy}"
        return TemporaryFailure(text, retry_after=answer.wait)

    def _by_status(self, answer: SoapAnswer) -> DeliveryFailure | None:
        return judge(self.who, answer.status_code, answer.wait, _REMEDIES)

    def _fault(self, fault: Element, answer: SoapAnswer) -> DeliveryFailure:
        """Raise the failure for a SOAP fault.

        A fault of the caller's (Client, Sender) is permanent, one of the service's own is
        temporary. The operator's lists take precedence.
        """
        codes = _codes(fault)
        shown = ", ".join(code for code in codes if _PLAIN.fullmatch(code)) or "without a code"
        text = f"{self.who} answers with a fault ({shown})"
        if set(codes) & set(self.rules.temporary_faults):
            return TemporaryFailure(
                f"{text}, which temporary_faults lists; it is tried again later",
                retry_after=answer.wait,
            )
        if set(codes) & _OF_SECURITY:
            return TemporaryFailure(f"{text}; check authentication, and this machine's clock")
        if set(codes) & (_FOR_EVER | set(self.rules.permanent_faults)):
            return PermanentFailure(
                f"{text}: it does not take this letter; check its log and input, and "
                "retry the delivery"
            )
        return TemporaryFailure(f"{text}; it is tried again later", retry_after=answer.wait)

    def _check_field(self, body: Element) -> None:
        rules = self.rules
        if not rules.success_field:
            return
        found = _text(body, rules.success_field)
        if found in rules.success_values:
            return
        shown = found if _PLAIN.fullmatch(found) else "nothing, or no plain code"
        text = f"{self.who} says {shown} in {rules.success_field}"
        if not found or found in rules.temporary_values:
            raise TemporaryFailure(f"{text}; it is tried again later")
        raise PermanentFailure(
            f"{text}, which success_values does not list; check its log, and retry the "
            "delivery when that is fixed"
        )


def _is_html(answer: SoapAnswer) -> bool:
    beginning = answer.content[:200].lstrip().lower()
    return answer.media_type == "text/html" or beginning.startswith((b"<!doctype html", b"<html"))


def _local(element: Element) -> str:
    from lxml import etree

    return etree.QName(element).localname if isinstance(element.tag, str) else ""


def _text(body: Element, field: str) -> str:
    """Return the text of the first element that `field` leads to, from anywhere in the body."""
    *way, last = field.split(".")
    for element in body.iter():
        if _local(element) == last:
            above = [_local(each) for each in element.iterancestors()][: len(way)]
            if above[::-1] == way:
                return (element.text or "").strip()
    return ""


def _codes(fault: Element) -> list[str]:
    """Return the local names of a fault's code and subcodes, and of the elements in its detail."""
    codes = [
        (each.text or "").strip().rpartition(":")[2]
        for each in fault.iter()
        if _local(each) in {"faultcode", "Value"}
    ]
    codes = [piece for code in codes for piece in (code, *code.split(".")) if piece]
    details = [
        _local(each) for part in fault if _local(part) in {"detail", "Detail"} for each in part
    ]
    return list(dict.fromkeys([*codes, *details]))
