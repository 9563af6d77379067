"""The types of a webhook receiver's settings, and their validation."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator

from connectors.net.settings import web_address
from daemon.core.settings import Secret, SecretFile

_PREFIX = "whsec_"
_SECRET_SIZES = range(24, 65)
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
_OURS = re.compile(
    r"(webhook|content|accept|proxy)-.*|accept|host|connection|keep-alive|te|trailer"
    r"|transfer-encoding|upgrade|expect|user-agent|date"
)
"""Headers that the call itself uses."""


def _link_base(text: str) -> str:
    if not text:
        return text
    if set("?#") & set(web_address(text)):
        raise ValueError(
            'must be only an address; write scheme, host and port, such as "http://127.0.0.1:8765"'
        )
    return text.rstrip("/")


LinkBase = Annotated[str, AfterValidator(_link_base)]
"""The beginning of web addresses, without a slash at its end; empty for none."""


def _signing(secret: Secret) -> Secret:
    if secret.is_closed:
        return secret
    if not signing_secrets(secret) or not all(map(_is_signing_secret, signing_secrets(secret))):
        remedy = (
            f'each line must be "{_PREFIX}" and then 24 to 64 random bytes in base64, which '
            '"openssl rand -base64 32" makes'
        )
        raise ValueError(
            f"holds no Standard Webhooks secret, or a line that is not one: {secret.path}; {remedy}"
        )
    return secret


def _is_signing_secret(line: str) -> bool:
    try:
        key = base64.b64decode(line.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return False
    return line.startswith(_PREFIX) and len(key) in _SECRET_SIZES


def signing_secrets(secret: Secret) -> tuple[str, ...]:
    """Return the secrets of the file, one on each line, in its order."""
    return tuple(line.strip() for line in secret.value.splitlines() if line.strip())


SigningSecrets = Annotated[SecretFile, AfterValidator(_signing)]
"""The path of a file of Standard Webhooks secrets, one on each line; the newest first, and old ones
for as long as receivers need them.
"""


def _headers(files: Mapping[str, Secret]) -> Mapping[str, Secret]:
    taken: set[str] = set()
    for name, secret in files.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError(
                f"has a name that is not a valid header name: {name!r}; write one such as "
                '"X-Api-Key"'
            )
        if name.lower() in taken:
            raise ValueError(
                f"has the header {name} twice; case makes no difference, so leave one out"
            )
        if _OURS.fullmatch(name.lower()):
            raise ValueError(
                f"sets the header {name}, which is part of the call itself; leave it out"
            )
        if not (secret.is_closed or _HEADER_VALUE.fullmatch(secret.value)):
            raise ValueError(
                f"has a file that is not a valid header value: {secret.path}; it must hold one "
                "line of ASCII"
            )
        taken.add(name.lower())
    return files


HeaderFiles = Annotated[dict[str, SecretFile], AfterValidator(_headers)]
"""Headers by name; each value is the path of a file that holds the header's value."""
