"""Where to register at Digdir and Altinn, and the bodies of the two registrations, ready to paste.

Sources: docs.altinn.studio, "Maskinporten Client" (the addresses of Samarbeidsportalen), "System
Registration" and "Create System User" (addresses, scopes and bodies).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

_GUIDE = "https://docs.altinn.studio/en/authorization/guides/system-vendor/system-user/"
_PORTALS = {
    "prod": "https://sjolvbetjening.samarbeid.digdir.no/",
    "tt02": "https://sjolvbetjening.test.samarbeid.digdir.no/",
}
_PLATFORMS = {"prod": "https://platform.altinn.no", "tt02": "https://platform.tt02.altinn.no"}
_ORDINARY = "urn:altinn:accesspackage:ordinaer-post-til-virksomheten"
_SCOPES = (
    "altinn:authentication/systemregister.write",
    "altinn:authentication/systemuser.request.write",
)


@dataclass(frozen=True, kw_only=True)
class Known:
    """What the configuration says by now; an empty text for what it does not."""

    environment: str = "prod"
    organisation: str = ""
    client_id: str = ""


def pages(known: Known) -> Iterator[tuple[str, str]]:
    """Return the addresses that a registration needs, each with what it is for."""
    yield "Samarbeidsportalen: client, scopes, key", _PORTALS[known.environment]
    yield "Guide to the system register and to system users", _GUIDE


def requests(known: Known) -> Iterator[tuple[str, str, str]]:
    """Return the calls that register: what for, the address, and the body in JSON.

    The organisation registers a system of its own. The lines of a body fit 80 columns.
    """
    authentication = f"{_PLATFORMS[known.environment]}/authentication/api/v1"
    organisation = known.organisation or "YOUR-ORGANISATION-NUMBER"
    packages = [{"urn": _ORDINARY}]
    text = {"nb": "Henter post til virksomheten", "nn": "Hentar post til verksemda"}
    system = {
        "id": f"{organisation}_postmottak",
        "vendor": {"authority": "iso6523-actorid-upis", "ID": f"0192:{organisation}"},
        "name": dict.fromkeys(("nb", "nn", "en"), "Postmottak"),
        "description": {**text, "en": "Fetches the organisation's mail"},
        "rights": [],
        "accessPackages": packages,
        "clientId": [known.client_id or "THE-CLIENT-ID"],
        "allowedRedirectUrls": [],
        "isVisible": False,
    }
    user = {
        "systemId": f"{organisation}_postmottak",
        "partyOrgNo": organisation,
        "rights": [],
        "accessPackages": packages,
    }
    yield "Register the system", f"{authentication}/systemregister/vendor", _body(system)
    yield "Request the system user", f"{authentication}/systemuser/request/vendor", _body(user)


def scopes() -> tuple[str, ...]:
    """Return the scopes of the token that both calls need.

    Keep them off Postmottak's own client.
    """
    return _SCOPES


def _body(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
