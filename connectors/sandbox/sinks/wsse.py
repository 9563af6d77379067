"""Check whether an envelope's WS-Security UsernameToken proves knowledge of a password.

It shares no code with the sender. Source: OASIS Web Services Security UsernameToken Profile 1.1.1.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

_WSS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss"
_E = f"{{{_WSS}-wssecurity-secext-1.0.xsd}}"
_U = f"{{{_WSS}-wssecurity-utility-1.0.xsd}}"
_TYPE = f"{_WSS}-username-token-profile-1.0#Password"
_FRESH = timedelta(minutes=5)
_SHORTEST_NONCE = 16


class Guard:
    """Accepts the name and the password in this form; with a digest, each nonce only once.

    Not for several threads.
    """

    def __init__(self, name: str, password: str, form: Literal["text", "digest"]) -> None:
        self._name = name
        self._password = password
        self._form = form
        self._nonces: set[bytes] = set()

    def lets_in(self, envelope: Any) -> bool:
        """Return whether the envelope's token is right."""
        token = envelope.find(f".//{_E}Security/{_E}UsernameToken")
        if (
            token is None
            or token.findtext(f"{_E}Username") != self._name
            or not _is_now(envelope.find(f".//{_E}Security/{_U}Timestamp"))
        ):
            return False
        password = token.find(f"{_E}Password")
        if password is None or password.get("Type") != f"{_TYPE}{self._form.capitalize()}":
            return False
        wanted = self._password if self._form == "text" else self._digest(token)
        return wanted is not None and hmac.compare_digest(
            (password.text or "").encode(), wanted.encode()
        )

    def _digest(self, token: Any) -> str | None:
        """Return base64 of SHA-1 over nonce, time and password.

        None if the nonce was used before, or the time is not now.
        """
        nonce, created = (
            base64.b64decode(token.findtext(f"{_E}Nonce") or ""),
            token.findtext(f"{_U}Created") or "",
        )
        if (
            len(nonce) < _SHORTEST_NONCE
            or nonce in self._nonces
            or not created
            or abs(datetime.now(UTC) - _moment(created)) > _FRESH
        ):
            return None
        self._nonces.add(nonce)
        return base64.b64encode(
            hashlib.sha1(nonce + created.encode() + self._password.encode()).digest()  # noqa: S324
        ).decode()  # the profile's


def _is_now(stamp: Any) -> bool:
    if stamp is None:
        return False
    created, expires = (_moment(stamp.findtext(f"{_U}{name}")) for name in ("Created", "Expires"))
    return created - _FRESH <= datetime.now(UTC) < expires


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
