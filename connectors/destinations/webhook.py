"""The webhook: each letter as a CloudEvent, signed by Standard Webhooks, the same `webhook-id` in every repeat.

Attachments are described, with sizes and hashes; their bytes are not in it. Sources: CloudEvents
1.0, structured JSON mode; Standard Webhooks 1.0, symmetric signatures.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Self

import httpx
from pydantic import BeforeValidator, Field, model_validator
from standardwebhooks import Webhook as Signer

from connectors.net.diagnostics import Timeout, connection, explain_error, is_loopback, remedy_for
from connectors.net.httpx_deadline import ExchangeDeadline
from connectors.net.retry_after import http_date, retry_after
from connectors.net.settings import WebAddress
from connectors.net.tls import CaFile, none_if_empty, tls_context, why_no_proof
from connectors.webhooks.event import alert_event, cloud_event
from connectors.webhooks.settings import HeaderFiles, LinkBase, SigningSecrets, signing_secrets
from daemon.core.errors import DeliveryFailure, PermanentFailure, TemporaryFailure
from daemon.core.parcels import Receipt
from daemon.core.ports import Destination, Finding, Notification, Parcel
from daemon.core.settings import ConnectorSettings, FilePath, SecretFile, duration

_READ_AT_MOST = 64 * 1024

_LATER = frozenset({408, 425, 429})
_OPERATOR = {
    401: "look at the receiver's access rules, and at url",
    403: "look at the receiver's access rules, and at url",
    404: "correct url, or let the receiver answer there",
    405: "correct url, for what is there takes no POST",
    407: "look at the proxy in front of the receiver",
}
"""Statuses that say that somebody set something up wrongly; the letter waits until that is mended."""


class Settings(ConnectorSettings):
    """`[destination.NAME]` with `type = "webhook"`."""

    url: WebAddress
    secret_file: SigningSecrets
    payload: Literal["metadata", "with-links"] = "metadata"
    link_base: LinkBase = ""
    """Where the receiver reaches Postmottak's own API, for `with-links`."""
    headers: HeaderFiles = Field(default_factory=dict)
    """Sent with every call, beside those of the call itself."""
    ca_file: CaFile = None
    client_cert_file: Annotated[FilePath | None, BeforeValidator(none_if_empty)] = None
    """Proves who is calling to a receiver that asks for it; PEM."""
    client_key_file: Annotated[SecretFile | None, BeforeValidator(none_if_empty)] = None
    """The certificate's key, PEM; not needed if it is in the same file."""
    timeout: Timeout = duration("30s")
    """For the whole of a call."""

    @property
    def can_notify(self) -> bool:
        """Always."""
        return True

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.payload == "with-links") != bool(self.link_base):
            raise ValueError(
                'has one of payload = "with-links" and link_base without the other; write '
                "both, or neither"
            )
        if self.client_key_file and not self.client_cert_file:
            raise ValueError("has client_key_file without client_cert_file; write both, or neither")
        try:
            _tls(self)
        except OSError as error:
            key = self.client_key_file.path if self.client_key_file else None
            assert self.client_cert_file  # ca_file was tried before
            raise ValueError(
                "has a client_cert_file and client_key_file that cannot be used: "
                f"{why_no_proof(self.client_cert_file, key)}"
            ) from error
        return self


def _tls(settings: Settings) -> ssl.SSLContext:
    key = settings.client_key_file.path if settings.client_key_file else None
    return tls_context(settings.ca_file, settings.client_cert_file, key)


def connect(name: str, settings: Settings) -> Destination:
    """A webhook that posts to `settings.url`."""
    return Webhook(name, settings)


class Webhook:
    """Posts letters.

    May be used from several threads; each call has a connection of its own, and no proxy is asked.
    """

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self._url = httpx.URL(settings.url)
        self._seconds = settings.timeout.total_seconds()
        self._signers = [Signer(secret) for secret in signing_secrets(settings.secret_file)]
        self._link_base = settings.link_base
        self._headers = {name: secret.value for name, secret in settings.headers.items()}
        self._tls = _tls(settings)
        self._client = httpx.Client(
            verify=self._tls,
            timeout=self._seconds,
            # a proxy or a .netrc of the service's environment must not decide where letters go
            trust_env=False,
            limits=httpx.Limits(max_keepalive_connections=0),
            headers={"user-agent": "postmottak", "accept-encoding": "identity"},
        )

    def check(self) -> Iterator[Finding]:
        """Connect, with TLS for https, and post nothing: a trial post would be a letter to the receiver."""
        subject = f"destination {self.name}"
        try:
            how = connection(self._url, self._tls, self._seconds)
        except OSError as error:
            yield Finding(subject=subject, ok=False, text=self._unreachable(error))
            return
        text = (
            f"{self._receiver} can be connected to, {how}; nothing was posted, so whether it "
            "takes letters is not proven"
        )
        yield Finding(subject=subject, ok=True, text=text)
        if self._url.scheme == "http" and not is_loopback(self._url.host):
            text = (
                "letters are signed, but anybody on the way can read them; write https in url if "
                "the receiver has it"
            )
            yield Finding(subject=subject, ok=True, text=text)

    def deliver(self, parcel: Parcel) -> Receipt:
        """Post the letter; any 2xx status says that the receiver has it.

        A repeat has the same `webhook-id` and the same body.
        """
        status = self._hand_over(cloud_event(parcel, self._link_base))
        return Receipt(
            reference=f"HTTP {status}",
            details={"status": status, "webhook_id": str(parcel.delivery_id)},
        )

    def notify(self, notification: Notification) -> None:
        """Post it, signed like a letter. A repeat has the same `webhook-id` and the same body."""
        self._hand_over(alert_event(notification))

    def _hand_over(self, event: Mapping[str, Any]) -> int:
        """Post an event; the status with which the receiver has taken it."""
        body = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
        with ExchangeDeadline(self._seconds) as deadline:
            try:
                status, retry_after = self._post(body, str(event["id"]), deadline)
            except httpx.HTTPError as error:
                late = f"it gave no whole answer within {self._seconds:g} seconds"
                raise TemporaryFailure(
                    f"{self._receiver} {late}" if deadline.passed else self._unreachable(error)
                ) from error
        if not 200 <= status < 300:  # noqa: PLR2004  # HTTP's own numbers
            raise self._refusal(status, retry_after)
        return status

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()

    @property
    def _receiver(self) -> str:
        """The receiver without the path and query of its address, which may hold a secret."""
        return f"the receiver at {self._url.scheme}://{self._url.netloc.decode()}"

    def _unreachable(self, error: Exception) -> str:
        return (
            f"{self._receiver} cannot be used: "
            f"{explain_error(error, 'what came back is no whole answer')}; {remedy_for(error)}"
        )

    def _post(
        self, body: bytes, webhook_id: str, deadline: ExchangeDeadline
    ) -> tuple[int, timedelta | None]:
        """The status of the answer, and the wait that it asks for.

        What the answer says besides is let pass, and not all of it.
        """
        now = datetime.now(UTC)
        headers = self._headers | {
            "content-type": "application/cloudevents+json; charset=utf-8",
            "webhook-id": webhook_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(
                signer.sign(webhook_id, now, body.decode()) for signer in self._signers
            ),
        }
        with self._client.stream(
            "POST", self._url, content=body, headers=headers, extensions=deadline.extensions
        ) as answer:
            with suppress(
                httpx.HTTPError
            ):  # the status has decided; reading on only spares the receiver a broken connection
                _let_pass(answer)
            theirs = http_date(answer.headers.get("date", "")) or now
            return answer.status_code, retry_after(answer.headers.get("retry-after", ""), theirs)

    def _refusal(self, status: int, wait: timedelta | None) -> DeliveryFailure:
        who = f"{self._receiver} answers with status {status}"
        if status in _OPERATOR:
            return TemporaryFailure(f"{who}; {_OPERATOR[status]}", retry_after=wait)
        if status in _LATER or status >= 500:  # noqa: PLR2004  # HTTP's own numbers
            return TemporaryFailure(f"{who}; it is tried again later", retry_after=wait)
        if status < 400:  # noqa: PLR2004  # HTTP's own numbers
            return PermanentFailure(
                f"{who}, a redirect, which is not followed; write the final address in url, "
                "and retry the delivery"
            )
        if status == httpx.codes.GONE:
            return PermanentFailure(
                f"{who}: it takes no more letters; take the destination out of the routing table"
            )
        return PermanentFailure(
            f"{who}: it does not take this letter; look at the receiver's log, and retry the "
            "delivery when it is mended"
        )


def _let_pass(answer: httpx.Response) -> None:
    size = 0
    for chunk in answer.iter_raw():
        size += len(chunk)
        if size >= _READ_AT_MOST:
            return
