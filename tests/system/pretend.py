"""The other side, inside a test system: a simulated Altinn that knows the key in a file, and a mail
server.

Run with the file that has the public key as JSON. Prints nothing; is ready when its ports listen.
"""

from __future__ import annotations

import json
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

HERE = "/usr/lib/postmottak/python{}.{}".format(*sys.version_info[:2])
PARTY = "910075918"
CLIENT = "2f8d5c1e-5f0e-4f6b-8f43-0a8f0e7d5b11"
WITHOUT_SCOPE = "3a6f0b52-8f7e-4e0b-9a55-7d4f3f1c2b90"
WITHOUT_RIGHTS = "5b1e9c74-0d3b-4a58-8c11-2e6a7f905d43"
ALTINN_PORT, MAIL_PORT = 8080, 8025
LETTERS = 3


def main(key_file: str) -> None:
    """Serve until SIGTERM."""
    sys.path.insert(0, HERE)
    import postmottak

    postmottak.find_modules()
    from connectors.sandbox.altinn3.access import RECIPIENT_SCOPES
    from connectors.sandbox.altinn3.server import FakeAltinn
    from connectors.sandbox.samples import letters, sandbox_resources
    from connectors.sandbox.sinks.mail import MailSink

    jwk = json.loads(Path(key_file).read_text(encoding="utf-8"))
    resources = list(sandbox_resources().values())
    with (
        FakeAltinn(port=ALTINN_PORT) as altinn,
        MailSink(port=MAIL_PORT, login=("ola", "secret")),
    ):
        for client in (CLIENT, WITHOUT_SCOPE, WITHOUT_RIGHTS):
            scopes = () if client == WITHOUT_SCOPE else RECIPIENT_SCOPES
            altinn.add_client(client, jwk, jwk["kid"], PARTY, scopes=scopes)
            readable = resources[:1] if client == WITHOUT_RIGHTS else resources
            altinn.allow(client, PARTY, readable)
        for letter in letters(LETTERS, party=PARTY, now=datetime.now(UTC)):
            altinn.publish(letter)
        signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    main(sys.argv[1])
