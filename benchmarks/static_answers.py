"""Altinn's answers for a number of letters, as the sandbox gives them, in files.

Each is made by the sandbox's own functions, with a request that the sandbox accepts.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode
from uuid import uuid4

from joserfc import jwt
from joserfc.jwk import RSAKey

from benchmarks.other_side import TOKEN_LASTS, letters_of
from connectors.sandbox.altinn3.access import RECIPIENT_SCOPES, ReadyClient
from connectors.sandbox.altinn3.correspondence import LIST_LIMIT
from connectors.sandbox.altinn3.correspondence_api import BASE
from connectors.sandbox.altinn3.maskinporten import GRANT_TYPE
from connectors.sandbox.altinn3.server import FakeAltinn
from connectors.sandbox.altinn3.tokens import SYSTEM_USER
from connectors.sandbox.http_server import Request, Response, Stream
from connectors.sandbox.samples import sandbox_resources
from connectors.sandbox.setup import Scene, prepare

MOST_LETTERS = (LIST_LIMIT - 1) * len(sandbox_resources(confidential=False))
"""More do not fit in lists that are not cut, and a static server cannot answer for the times that
are asked then.
"""
_FORM = {"content-type": "application/x-www-form-urlencoded"}
_OK = 200
_LASTS = 100  # seconds, of a grant


@dataclass
class Answers:
    """Answers as files in a folder, and for each kind an example of its headers."""

    folder: Path
    url: str = ""
    """The address that the scene's configuration names."""
    heads: dict[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    lists: dict[str, str] = field(default_factory=dict)
    """The file of each resource's list."""

    def add(self, kind: str, name: str, response: Response) -> bytes:
        """Write an answer into the file `name`. Returns it. Raises ValueError for a refusal."""
        if response.status != _OK:
            raise ValueError(f"the sandbox refuses a {kind}: {response.status} {response.body!r}")
        body = response.body
        content = b"".join(body.chunks) if isinstance(body, Stream) else body
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.heads[kind] = response.headers
        return content


def write_answers(folder: Path, scene: Scene, contents: Sequence[bytes]) -> Answers:
    """Write the answers for letters with these attachments, one each, and the files of the scene.

    There are at most MOST_LETTERS.
    """
    answers = Answers(folder)
    with FakeAltinn() as altinn:
        altinn.exchange.lifetime = altinn.maskinporten.token_lifetime = TOKEN_LASTS
        altinn.correspondence.announce_lengths = True
        client = prepare(altinn, scene)
        answers.url = altinn.platform_url
        token = _write_access(answers, altinn, client, scene.party)
        (scene.folder / "token").write_text(token, encoding="utf-8")
        keys = [
            altinn.publish(each) for each in letters_of(contents, scene.party, datetime.now(UTC))
        ]
        _write_lists(answers, altinn, token)
        _write_letters(answers, altinn, token, keys)
    return answers


def _write_access(answers: Answers, altinn: FakeAltinn, client: ReadyClient, party: str) -> str:
    """Write the tokens and the register of resources. Returns Altinn's token."""
    raw = altinn.token(client.client_id, party, exchanged=False)
    form = {"grant_type": GRANT_TYPE, "assertion": _assertion(altinn, client, party)}
    granted = Request(
        method="POST", path="/token", query="", headers=_FORM, body=urlencode(form).encode()
    )
    answers.add("token", "token", altinn.maskinporten.token(granted))
    answers.add(
        "resourcelist", "resourcelist", altinn.discovery.resource_list(_get("includeApps=false"))
    )
    exchanged = altinn.exchange.answer(_get(token=raw, accept="text/plain"), "maskinporten")
    return answers.add("exchange", "exchange", exchanged).decode("ascii")


def _write_lists(answers: Answers, altinn: FakeAltinn, token: str) -> None:
    for number, resource in enumerate(sandbox_resources().values()):
        query = urlencode({"resourceId": resource, "role": "Recipient"})
        name = answers.lists[resource] = f"list/{number}"
        answer = altinn.correspondence.answer("list", _get(query, token=token), ())
        answers.add("list", name, answer)


def _write_letters(answers: Answers, altinn: FakeAltinn, token: str, keys: Sequence[str]) -> None:
    correspondence, request = altinn.correspondence, _get(token=token)
    for key in keys:
        overview = correspondence.answer("overview", request, (key,))
        answers.add("overview", f"overview/{key}", overview)
        for part in altinn.record(key).attachments:
            download = correspondence.answer("download", request, (key, part.id))
            answers.add("download", f"download/{key}/{part.id}", download)


def _get(query: str = "", *, token: str = "", accept: str = "*/*") -> Request:
    headers = {"accept": accept, "authorization": f"Bearer {token}"}
    return Request(method="GET", path=BASE, query=query, headers=headers, body=b"")


def _assertion(altinn: FakeAltinn, client: ReadyClient, party: str) -> str:
    issued = int(time.time())
    claims = {
        "iss": client.client_id,
        "aud": altinn.maskinporten_url,
        "scope": " ".join(RECIPIENT_SCOPES),
        "iat": issued,
        "exp": issued + _LASTS,
        "jti": str(uuid4()),
        "authorization_details": [
            {
                "type": SYSTEM_USER,
                "systemuser_org": {"authority": "iso6523-actorid-upis", "ID": f"0192:{party}"},
            }
        ],
    }
    header = {"alg": "RS256", "kid": client.key_id}
    return jwt.encode(header, claims, RSAKey.import_key(client.private_key))
