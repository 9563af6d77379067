"""The webhook: each letter as a signed CloudEvent, with the same `webhook-id` in every repeat.

Attachments are described, with sizes and hashes; their bytes are not included. Sources: CloudEvents
1.0, structured JSON mode; Standard Webhooks 1.0, symmetric signatures.
"""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import httpx
from pydantic import BeforeValidator, Field, ValidationInfo, model_validator
from standardwebhooks import Webhook as Signer

from connectors.net.diagnostics import Timeout, connection, explain_error, remedy_for
from connectors.net.plain_http import check_plain_http
from connectors.net.proxy_problem import ProxyProblem
from connectors.net.safe_client import CallFailed, RequestBody, SafeClient
from connectors.net.settings import WebAddress
from connectors.net.status import Remedies, judge
from connectors.webhooks.event import alert_event, cloud_event, sample_event
from connectors.webhooks.settings import HeaderFiles, LinkBase, SigningSecrets, signing_secrets
from daemon.core.callbacks import do_nothing
from daemon.core.durations import duration
from daemon.core.errors import TemporaryFailure
from daemon.core.parcels import Receipt
from daemon.core.ports import Destination, Finding, Notification, Parcel
from daemon.core.settings import DestinationSettings, FilePath, SecretFile, opens_secrets
from daemon.core.tls import CaFile, none_if_empty, tls_context, why_no_proof

_READ_AT_MOST = 64 * 1024

_REMEDIES = Remedies(
    unauthorized="check the receiver's access rules, and url",
    forbidden="check the receiver's access rules, and url",
    not_found="correct url, or make the receiver answer there",
    no_post="correct url: what is there does not accept POST",
    proxy="check the proxy in front of the receiver",
    media_type="make the receiver accept application/cloudevents+json",
    redirect="write the final address in url",
)


class Settings(DestinationSettings):
    """`[destination.NAME]` with `type = "webhook"`."""

    url: WebAddress
    secret_file: SigningSecrets
    payload: Literal["metadata", "with-links"] = "metadata"
    link_base: LinkBase = ""
    """The address at which the receiver reaches Postmottak's own API, for `with-links`."""
    headers: HeaderFiles = Field(default_factory=dict)
    """Sent with every call, in addition to those of the call itself."""
    ca_file: CaFile = None
    client_cert_file: Annotated[FilePath | None, BeforeValidator(none_if_empty)] = None
    """The client certificate for a receiver that requires one; PEM."""
    client_key_file: Annotated[SecretFile | None, BeforeValidator(none_if_empty)] = None
    """The certificate's key, PEM; not needed if it is in the same file."""
    timeout: Timeout = duration("30s")
    """The limit for a whole call."""

    @property
    def place(self) -> str:
        """The receiver without the path and query of its address, which may hold a secret."""
        return _server(httpx.URL(self.url))

    @property
    def can_notify(self) -> bool:
        """Always true."""
        return True

    @property
    def client_certificate(self) -> Path | None:
        """The client certificate, if there is one."""
        return self.client_cert_file

    @model_validator(mode="after")
    def _fits_together(self, info: ValidationInfo) -> Self:
        if (self.payload == "with-links") != bool(self.link_base):
            raise ValueError(
                'has one of payload = "with-links" and link_base without the other; write '
                "both, or neither"
            )
        if self.client_key_file and not self.client_cert_file:
            raise ValueError("has client_key_file without client_cert_file; write both, or neither")
        try:
            if self.client_cert_file and opens_secrets(info):
                _tls(self)
        except OSError as error:
            key = self.client_key_file.path if self.client_key_file else None
            assert self.client_cert_file  # ca_file was tried before
            raise ValueError(
                "has a client_cert_file and client_key_file that cannot be used: "
                f"{why_no_proof(self.client_cert_file, key)}"
            ) from error
        return self


def _server(url: httpx.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode()}"


def _tls(settings: Settings) -> ssl.SSLContext:
    key = settings.client_key_file.path if settings.client_key_file else None
    return tls_context(settings.ca_file, settings.client_cert_file, key)


def connect(name: str, settings: Settings) -> Destination:
    """Return a webhook that posts to `settings.url`."""
    return Webhook(name, settings)


class Webhook:
    """Posts letters.

    May be used from several threads; each call has a connection of its own.
    """

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self._url = httpx.URL(settings.url)
        self._seconds = settings.timeout.total_seconds()
        self._signers = [Signer(secret) for secret in signing_secrets(settings.secret_file)]
        self._link_base = settings.link_base
        self._headers = {name: secret.value for name, secret in settings.headers.items()}
        self._tls = _tls(settings)
        self._proxies = settings.proxies
        self._client = SafeClient(
            tls=self._tls, seconds=self._seconds, largest=_READ_AT_MOST, proxies=self._proxies
        )

    def check(self) -> Iterator[Finding]:
        """Connect, with TLS for https, and post nothing.

        The receiver would take a test post for a letter.
        """
        subject = f"destination {self.name}"
        try:
            how = connection(self._url, self._tls, self._seconds, self._proxies)
        except (OSError, ProxyProblem) as error:
            reason = explain_error(error, "it did not answer")
            text = f"{self._receiver} cannot be used: {reason}; {remedy_for(error)}"
            yield Finding(subject=subject, ok=False, text=text)
            return
        text = (
            f"{self._receiver} can be connected to, {how}; nothing was posted, so whether it "
            "takes letters was not tested"
        )
        yield Finding(subject=subject, ok=True, text=text)
        yield from check_plain_http(
            subject, self._receiver, self._url, self._seconds, self._proxies
        )

    def deliver(self, parcel: Parcel) -> Receipt:
        """Post the letter; any 2xx status means that the receiver has it.

        A repeat has the same `webhook-id` and the same body.
        """
        status = self._hand_over(cloud_event(parcel, self._link_base), parcel.confirm)
        return Receipt(
            reference=f"HTTP {status}",
            details={"status": status, "webhook_id": str(parcel.delivery_id)},
        )

    def notify(self, notification: Notification) -> None:
        """Post the alert, signed like a letter.

        A repeat has the same `webhook-id` and the same body.
        """
        self._hand_over(alert_event(notification))

    def send_test(self, sample: Parcel) -> str:
        """Post a test event, signed like a letter."""
        event = sample_event(sample)
        status = self._hand_over(event)
        return f"{self._receiver} answered a test event ({event['type']}) with HTTP {status}"

    def _hand_over(self, event: Mapping[str, Any], confirm: Callable[[], None] = do_nothing) -> int:
        """Post an event and return the status with which the receiver took it."""
        body = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
        headers = self._headers | self._own_headers(str(event["id"]), body)
        confirm()  # a wait here takes nothing of the receiver's time
        sent = RequestBody(chunks=[body], size=len(body), confirm=confirm)
        try:
            answer = self._client.status("POST", str(self._url), headers, sent)
        except CallFailed as error:
            raise TemporaryFailure(
                f"{self._receiver} cannot be used: {error}; {error.remedy}"
            ) from error
        failure = judge(self._receiver, answer.status_code, answer.wait, _REMEDIES)
        if failure:
            raise failure
        return answer.status_code

    def close(self) -> None:
        """Close connections."""
        self._client.close()

    @property
    def _receiver(self) -> str:
        """The receiver without the path and query of its address, which may hold a secret."""
        return f"the receiver at {_server(self._url)}"

    def _own_headers(self, webhook_id: str, body: bytes) -> dict[str, str]:
        """Return the headers of the call itself: type, digest, id and signatures."""
        now = datetime.now(UTC)
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        return {
            "content-type": "application/cloudevents+json; charset=utf-8",
            "content-digest": f"sha-256=:{digest}:",  # RFC 9530
            "webhook-id": webhook_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(
                signer.sign(webhook_id, now, body.decode()) for signer in self._signers
            ),
        }
