"""The settings of a SOAP service, and their validation."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import httpx
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
    ValidationInfo,
    model_validator,
)

from connectors.net.diagnostics import Timeout, is_loopback
from connectors.net.settings import WebAddress
from connectors.soap.contract import Contract, open_contract
from connectors.soap.mapping import OPEN
from connectors.soap.security import check_pair
from connectors.soap.wsdl import is_web
from daemon.core.durations import duration
from daemon.core.optional_libraries import need_library
from daemon.core.settings import (
    DestinationSettings,
    FilePath,
    SecretFile,
    at_home,
    base_folder,
    opens_secrets,
)
from daemon.core.tls import CaFile, none_if_empty, proof_fault, tls_context, why_no_proof

_LEFT_OPEN = f"${OPEN}"


def _wsdl(text: str, info: ValidationInfo) -> str:
    if not text:
        raise ValueError("names no WSDL; write a file's path or a web address")
    return text if is_web(text) else str((base_folder(info) / at_home(Path(text))).absolute())


class SoapSettings(DestinationSettings):
    """The settings, for `[destination.NAME]`."""

    wsdl: Annotated[str, AfterValidator(_wsdl)]
    """A file, or a web address that is fetched once, at the first use."""
    service: str = ""
    port: str = ""
    """Empty for the first port that has the operation."""
    operation: str
    address: WebAddress | Literal[""] = ""
    """Empty for the WSDL's own address."""
    input: dict[str, Any]
    """The mapping; its syntax is described in `mapping.py`."""
    attachments: Literal["base64", "mtom"] = "base64"
    """How contents are sent that the mapping puts into elements of the type base64Binary: inside
    the envelope, or beside it.
    """
    authentication: Literal["none", "basic", "username-token", "x509"] = "none"
    username: str = ""
    password_file: Annotated[SecretFile | None, BeforeValidator(none_if_empty)] = None
    password_digest: bool = False
    """Whether a UsernameToken has a digest of the password instead of the password."""
    signing_cert_file: Annotated[FilePath | None, BeforeValidator(none_if_empty)] = None
    signing_key_file: Annotated[SecretFile | None, BeforeValidator(none_if_empty)] = None
    success_field: str = ""
    success_values: tuple[str, ...] = ()
    temporary_values: tuple[str, ...] = ()
    reference_field: str = ""
    temporary_faults: tuple[str, ...] = ()
    permanent_faults: tuple[str, ...] = ()
    max_bytes: int = Field(default=50_000_000, ge=1)
    """The largest request, in bytes as sent."""
    ca_file: CaFile = None
    client_cert_file: Annotated[FilePath | None, BeforeValidator(none_if_empty)] = None
    client_key_file: Annotated[SecretFile | None, BeforeValidator(none_if_empty)] = None
    timeout: Timeout = duration("60s")
    """The limit for a whole call."""

    _contract: Contract | None = PrivateAttr(default=None)

    @property
    def place(self) -> str:
        """The service without the path and query of its address, which may hold a secret."""
        known = self._contract.operation.address if self._contract else self.wsdl
        url = httpx.URL(self.address or known)
        return f"{url.scheme}://{url.netloc.decode()}"

    @property
    def client_certificate(self) -> Path | None:
        """The client certificate, if there is one."""
        return self.client_cert_file

    @property
    def can_send_test(self) -> bool:
        """No: the service would take any call for a letter."""
        return False

    @model_validator(mode="after")
    def _fits_together(self, info: ValidationInfo) -> Self:
        need_library("zeep", "soap")
        self._check_authentication()
        self._check_signing()
        if bool(self.success_field) != bool(self.success_values):
            raise ValueError(
                "has one of success_field and success_values without the other; write both, "
                "or neither"
            )
        if self.client_key_file and not self.client_cert_file:
            raise ValueError("has client_key_file without client_cert_file; write both, or neither")
        try:
            if self.client_cert_file and opens_secrets(info):
                self.tls()
        except OSError as error:
            key = self.client_key_file.path if self.client_key_file else None
            assert self.client_cert_file  # ca_file was tried before
            raise ValueError(
                "has a client_cert_file and client_key_file that cannot be used: "
                f"{why_no_proof(self.client_cert_file, key)}"
            ) from error
        if not is_web(self.wsdl):
            self._contract = open_contract(
                self.wsdl, None, self.service, self.port, self.operation, self.input
            )
        if _LEFT_OPEN in self.success_values:
            raise ValueError(
                f"has success_values with {_LEFT_OPEN!r}; write what {self.success_field} says "
                "when the service has the letter"
            )
        self._check_encryption()
        return self

    def _check_authentication(self) -> None:
        named = self.authentication in {"basic", "username-token"}
        if named != bool(self.username) or named != bool(self.password_file):
            raise ValueError(
                'has authentication, username and password_file that do not fit; "basic" and '
                '"username-token" need both, others neither'
            )
        if self.password_digest and self.authentication != "username-token":
            raise ValueError(
                "has password_digest, which only a UsernameToken has; write authentication = "
                '"username-token"'
            )
        if self.authentication == "basic" and ":" in self.username:
            raise ValueError(
                "has a username with a colon, which Basic cannot carry; choose another"
            )

    def _check_signing(self) -> None:
        signed = self.authentication == "x509"
        if signed != bool(self.signing_cert_file) or signed != bool(self.signing_key_file):
            raise ValueError(
                "has authentication, signing_cert_file and signing_key_file that do not fit; "
                '"x509" needs both, others neither'
            )
        if self.signing_cert_file and self.signing_key_file:
            need_library("xmlsec", "soap")
            if self.signing_key_file.is_closed:
                return
            try:
                check_pair(self.signing_cert_file, self.signing_key_file.path)
            except (OSError, ValueError, TypeError) as error:
                why = proof_fault(self.signing_cert_file, self.signing_key_file.path)
                why = why or (
                    f"{self.signing_cert_file}; both must be PEM, RSA, without a password, "
                    "and belong together"
                )
                raise ValueError(
                    f"has a signing_cert_file and signing_key_file that cannot be used: {why}"
                ) from error

    def _check_encryption(self) -> None:
        address = self.address or (self._contract.operation.address if self._contract else "")
        if self._contract and not address.startswith(("https://", "http://")):
            raise ValueError(
                "has no address, and the WSDL names none that can be used; write address"
            )
        url = httpx.URL(address)
        if (
            self.authentication in {"basic", "username-token"}
            and url.scheme == "http"
            and not is_loopback(url.host)
        ):
            raise ValueError("would send its password unencrypted; write https in address")

    @property
    def contract(self) -> Contract | None:
        """The contract of the WSDL, if that is in a file."""
        return self._contract

    def tls(self) -> ssl.SSLContext:
        """Return the TLS context: whom to trust, and the client certificate. Raises OSError."""
        return tls_context(
            self.ca_file,
            self.client_cert_file,
            self.client_key_file.path if self.client_key_file else None,
        )
