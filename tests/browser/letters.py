"""Letters for the browser's tests: of several services and senders, over sixty days."""

from __future__ import annotations

from datetime import datetime, timedelta

from daemon.core.model import (
    Attachment,
    DecisionRow,
    Delivery,
    DeliveryState,
    Message,
    delivery_id,
    message_id,
)
from daemon.routing.table import parse_table
from daemon.store import Store, StoredLetter
from daemon.store.content_folder import ContentFolder

CONFIGURATION = """\
[store]
database = "sqlite:///postmottak.db"
content = "content"

[routing]
file = "routing.toml"

[web]
listen = "127.0.0.1:{port}"

[mailbox.altinn]
type = "altinn3"
environment = "tt02"
client_id = "client"
key_file = "key.pem"
key_id = "key"
parties = ["974761076"]

[destination.erp]
type = "filedrop"
path = "drop"

[destination.arkiv]
type = "filedrop"
path = "drop"
"""
ROUTING = """\
# Hvem som får hva. Endres i dialog med arkivet.
[[recipient]]
name = "regnskap"
title = "Regnskap"
deliver_to = ["erp"]

[[recipient]]
name = "eiendom"
title = "Eiendom"
deliver_to = ["arkiv"]

[[recipient]]
name = "post"
title = "Postmottaket"
deliver_to = ["arkiv"]

# Skatt går alltid til regnskap.
[[route]]
name = "Skatt og avgift"
services = ["4255/8"]
to = ["regnskap"]

[[route]]
name = "Plan og bygg"
services = ["4255/1"]
to = ["eiendom"]

[[route]]
name = "Alt annet"
to = ["post"]
"""
KINDS = (
    ("4255/8", "Skatteetaten", "974761076", "Vedtak om merverdiavgift", "Skatt og avgift"),
    ("4255/1", "Oslo kommune", "958935420", "Byggesak 2026/4711: tillatelse", "Plan og bygg"),
    ("4255/6", "Miljødirektoratet", "999601391", "Pålegg om tilsyn", "Alt annet"),
    ("4255/10", "Brønnøysundregistrene", "974760673", "Påminnelse om årsregnskap", "Alt annet"),
)
PEOPLE = {
    "Skatt og avgift": ("regnskap", "erp"),
    "Plan og bygg": ("eiendom", "arkiv"),
    "Alt annet": ("post", "arkiv"),
}
PDF = b"%PDF-1.4\n%%EOF\n"


def fill(store: Store, content: ContentFolder, now: datetime, count: int = 60) -> None:
    """Store letters: one a day, the newest of today; some wait, some are dead."""
    table = parse_table(ROUTING, "routing.toml", ("erp", "arkiv"))
    store.letters.note_table(table.version, table.text, now)
    (kept,) = [content.put([PDF])]
    store.letters.add(
        [
            _letter(number, now - timedelta(days=number, hours=1), table.version, kept.sha256)
            for number in range(count)
        ]
    )


def _letter(number: int, at: datetime, version: str, sha256: str) -> StoredLetter:
    service, sender, org, title, route = KINDS[number % len(KINDS)]
    person, destination = PEOPLE[route]
    key = message_id("altinn", f"letter-{number}")
    state = {5: DeliveryState.DEAD, 9: DeliveryState.HELD}.get(number, DeliveryState.DELIVERED)
    return StoredLetter(
        message=Message(
            id=key,
            mailbox="altinn",
            external_id=f"letter-{number}",
            party="974761076",
            service=service,
            resource="resource",
            title=f"{title} ({number})",
            body=f"Dette er brev nummer **{number}**. Frist og beløp står i vedlegget.",
            sender_org=org,
            sender_name=sender,
            published_at=at,
            due_at=at + timedelta(days=number % 30),
            fetched_at=at,
        ),
        decision=DecisionRow(
            message_id=key,
            number=1,
            decided_at=at,
            routing_version=version,
            route=route,
            chosen=[person],
            recipients=[person],
            direct=[],
            why={"conditions": []},
        ),
        attachments=[
            Attachment(
                message_id=key,
                position=1,
                external_id="1",
                original_name="Vedtak.pdf",
                safe_name="001-vedtak.pdf",
                media_type="application/pdf",
                size=len(PDF),
                sha256=sha256,
            )
        ],
        deliveries=[
            Delivery(
                id=delivery_id(key, destination, 1),
                message_id=key,
                destination=destination,
                recipients=[person],
                state=state,
                created_at=at,
                due_at=at,
                delivered_at=at if state is DeliveryState.DELIVERED else None,
                last_error="the folder cannot be written" if state is DeliveryState.DEAD else None,
            )
        ],
        marks=[],
        threads=[],
    )
