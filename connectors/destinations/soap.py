"""SOAP: each letter as the input of one operation, by a mapping that the operator writes.

The operation may be an archive's. Attachments are streamed into the request as base64, or after it
as MTOM. A repeat has the same input; with `delivery.id` in the mapping, the service can recognise
it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import httpx

from connectors.net.diagnostics import connection, explain_error, is_loopback, remedy_for
from connectors.net.plain_http import check_plain_http
from connectors.net.proxy_problem import ProxyProblem
from connectors.soap.answer_fields import status_of
from connectors.soap.call import CallFailed, SoapAnswer, SoapCaller
from connectors.soap.contract import Contract, open_contract
from connectors.soap.mapping import Builder
from connectors.soap.request import Contents, RequestTooLarge, StreamingTransport
from connectors.soap.response_judge import ResponseJudge, Rules
from connectors.soap.security import Protect, Protection, signature, username_token
from connectors.soap.settings import SoapSettings
from connectors.soap.shape import Operation
from connectors.soap.wsdl import LARGEST_WSDL, BadWsdl, keep_zeep_quiet, zeep_settings
from daemon.core.errors import DeliveryFailure, PermanentFailure, TemporaryFailure
from daemon.core.parcels import Receipt
from daemon.core.ports import Destination, Finding, Parcel

_RULES = (
    "success_field",
    "success_values",
    "temporary_values",
    "reference_field",
    "temporary_faults",
    "permanent_faults",
)


class Settings(SoapSettings):
    """`[destination.NAME]` with `type = "soap"`."""


def connect(name: str, settings: Settings) -> Destination:
    """Return a destination for the operation that `settings` name."""
    return Soap(name, settings)


class Soap:
    """Calls the service.

    May be used from several threads; each call has a connection of its own.
    """

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self._settings = settings
        self._tls = settings.tls()
        self._seconds = settings.timeout.total_seconds()
        password = settings.password_file.value if settings.password_file else ""
        basic = (settings.username, password) if settings.authentication == "basic" else None
        self._proxies = settings.proxies
        self._caller = SoapCaller(
            tls=self._tls, seconds=self._seconds, basic=basic, proxies=self._proxies
        )
        self._rules = Rules(**{rule: getattr(settings, rule) for rule in _RULES})
        self._protect = _protection(settings, password)
        self._contract = settings.contract
        self._lock = threading.Lock()

    def check(self) -> Iterator[Finding]:
        """Read the WSDL, check the mapping, and connect to the address.

        Nothing is called, because the service would take a test call for a letter.
        """
        subject = f"destination {self.name}"
        try:
            contract = self._opened()
            url = self._url(contract)
            how = connection(url, self._tls, self._seconds, self._proxies)
        except DeliveryFailure as failure:
            yield Finding(subject=subject, ok=False, text=str(failure))
            return
        except (OSError, ProxyProblem) as error:
            reason = explain_error(error, "it sent no complete answer")
            yield Finding(
                subject=subject,
                ok=False,
                text=f"{_who(url)} cannot be used: {reason}; {remedy_for(error)}",
            )
            return
        fits = (
            f"the mapping fits the operation {contract.operation.name}, and requests may have "
            f"{self._settings.max_bytes:,} bytes"
        )
        text = (
            f"{_who(url)} can be connected to, {how}; {fits}; nothing was sent, so whether it "
            "takes letters was not tested"
        )
        yield Finding(subject=subject, ok=True, text=text)
        yield from self._check_success_field(subject, contract.operation)
        yield from check_plain_http(subject, _who(url), url, self._seconds, self._proxies)

    def _check_success_field(self, subject: str, operation: Operation) -> Iterator[Finding]:
        """Warn if the answer has a status that no setting reads."""
        status = status_of(operation)
        if status is None or self._settings.success_field:
            return
        values = ", ".join(f'"{each}"' for each in status.values or ("OK",))
        text = (
            f"its answer has an element {status.name}, which success_field does not name, so an "
            "answer that refuses the letter there counts as delivered; write success_field = "
            f'"{status.name}", and in success_values what it says when the service has the '
            f"letter, such as [{values}]"
        )
        yield Finding(subject=subject, ok=True, warning=True, text=text)

    def deliver(self, parcel: Parcel) -> Receipt:
        """Call the operation once; its response says whether the service has the letter.

        A repeat has the same input.
        """
        contract = self._opened()
        url = self._url(contract)
        who = _who(url)
        parcel.confirm()  # a wait here takes nothing of the service's time
        try:
            answer = self._call(contract, url, parcel)
        except CallFailed as error:
            raise TemporaryFailure(f"{who} cannot be used: {error}; {error.remedy}") from error
        except RequestTooLarge as error:
            remedy = (
                "raise max_bytes if the service takes more, or route the letter elsewhere, and "
                "retry the delivery"
            )
            limit = (
                f"the request would have {error.size:,} bytes, more than the "
                f"{self._settings.max_bytes:,} that max_bytes allows"
            )
            raise PermanentFailure(f"{limit}; {remedy}") from error
        reference = ResponseJudge(
            who=who, rules=self._rules, answers=contract.operation.answers
        ).judge(answer)
        details: dict[str, Any] = {
            "status": answer.status_code,
            "delivery_id": str(parcel.delivery_id),
            "operation": contract.operation.name,
        }
        return Receipt(reference=reference or str(parcel.delivery_id), details=details)

    def close(self) -> None:
        """Close the connections."""
        self._caller.close()

    def _opened(self) -> Contract:
        """Return the contract; a WSDL at a web address is fetched once."""
        with self._lock:
            if self._contract is None:
                self._contract = self._fetched()
            return self._contract

    def _fetched(self) -> Contract:
        """Fetch the WSDL from its web address, without sending the service's password."""
        settings = self._settings
        place = _who(httpx.URL(settings.wsdl))
        caller = SoapCaller(
            tls=self._tls, seconds=self._seconds, largest=LARGEST_WSDL, proxies=self._proxies
        )
        try:
            return open_contract(
                settings.wsdl,
                caller.get,
                settings.service,
                settings.port,
                settings.operation,
                settings.input,
            )
        except CallFailed as error:
            raise TemporaryFailure(
                f"the WSDL cannot be fetched from {place}: {error}; save it in a file, and name "
                "that in wsdl"
            ) from error
        except BadWsdl as error:
            raise TemporaryFailure(f"[destination.{self.name}] {error}") from error
        finally:
            caller.close()

    def _url(self, contract: Contract) -> httpx.URL:
        """Return the address to call. For a fetched WSDL it is known only now."""
        try:
            url = httpx.URL(self._settings.address or contract.operation.address)
        except httpx.InvalidURL:
            url = httpx.URL("")
        if url.scheme not in {"http", "https"} or not url.host:
            raise TemporaryFailure("the WSDL names no address that can be used; write address")
        secret = self._settings.authentication in {"basic", "username-token"}
        if secret and url.scheme == "http" and not is_loopback(url.host):
            raise TemporaryFailure(
                "the password would be sent unencrypted to the WSDL's address; write an https "
                "address in address"
            )
        return url

    def _call(self, contract: Contract, url: httpx.URL, parcel: Parcel) -> SoapAnswer:
        import zeep

        contents = Contents(mtom=self._settings.attachments == "mtom")
        values = Builder(parcel, contents.place).build(
            contract.operation.input, self._settings.input
        )
        if contents.size > self._settings.max_bytes:
            raise RequestTooLarge(contents.size)
        transport: Any = StreamingTransport(
            self._caller, contents, self._settings.max_bytes, parcel.confirm
        )
        read_by_us = zeep_settings()
        read_by_us.raw_response = True
        client = zeep.Client(
            contract.document, wsse=self._proof(contents), transport=transport, settings=read_by_us
        )
        keep_zeep_quiet()
        service = client.create_service(contract.operation.binding, str(url))
        try:
            answer = service[contract.operation.name](**values)
        except (zeep.exceptions.ValidationError, TypeError, ValueError) as error:
            # from None: what these say could quote the letter
            what = (
                f"the letter does not fit the operation {contract.operation.name} "
                f"({type(error).__name__})"
            )
            raise PermanentFailure(
                f"{what}; check input and the WSDL, and retry the delivery"
            ) from None
        assert isinstance(answer, SoapAnswer)
        return answer

    def _proof(self, contents: Contents) -> Protection | None:
        if self._protect is None:
            return None
        signed = self._settings.authentication == "x509"
        if not signed:
            return Protection(self._protect)
        return Protection(contents.fill, self._protect, lambda _: contents.take_back())


def _protection(settings: Settings, password: str) -> Protect | None:
    if settings.authentication == "username-token":
        return username_token(settings.username, password, digest=settings.password_digest)
    if settings.signing_cert_file and settings.signing_key_file:
        return signature(settings.signing_cert_file, settings.signing_key_file.path)
    return None


def _who(url: httpx.URL) -> str:
    """Return the service without the path and query of its address, which may hold a secret."""
    return f"the service at {url.scheme}://{url.netloc.decode()}"
