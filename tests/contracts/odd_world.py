"""A simulated Altinn, a service's middle, and every kind of destination behind it: for letters with
values that no contract allows."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from connectors.destinations import filedrop, smtp, soap, webhook
from connectors.mailboxes import altinn3
from connectors.sandbox.altinn3.server import FakeAltinn
from connectors.sandbox.letters import PretendAttachment, PretendLetter
from connectors.sandbox.sinks.mail import MailSink
from connectors.sandbox.sinks.soap import SoapSink
from connectors.sandbox.sinks.webhook import WebhookSink
from daemon.core.model import Outcome
from daemon.core.ports import Destination, Mailbox
from daemon.delivery.dispatch import Dispatch
from daemon.intake.carrier import Carrier
from daemon.intake.fetch import Fetcher
from daemon.intake.new_letter import MarkPolicies
from daemon.intake.notices import Notices
from daemon.intake.poll import Intake, IntakeSummary
from daemon.routing.table import Table, parse_table
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from tests.connectors.soap_tools import settings as soap_settings
from tests.unit.conftest import active_snapshot

PARTY, RESOURCE = "991825827", "eformidling-dpv-administrasjon"
SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
_DROPS: Mapping[str, dict[str, Any]] = {
    "folder": {
        "layout": "folder",
        "formats": ["json", "arkivmelding", "fiks-arkiv"],
        "letter_pdf": True,
    },
    "flat": {"layout": "flat", "formats": ["json", "arkivmelding", "fiks-arkiv"]},
    "pdf-only": {"layout": "pdf-only"},
    "csv": {"layout": "csv"},
}
DESTINATIONS = (*_DROPS, "mail", "hook", "soap")


def utc_now() -> datetime:
    """The time."""
    return datetime.now(UTC)


def routing_table() -> Table:
    """All letters to all destinations; confidential ones to the first only."""
    text = f"""
[[recipient]]
name = "alle"
deliver_to = {list(DESTINATIONS)}
[[recipient]]
name = "fortrolig"
deliver_to = ["folder"]
[[route]]
name = "Fortrolig"
services = ["5504/1"]
to = ["fortrolig"]
[[route]]
name = "Frist"
due_within = "7d"
to = ["alle"]
[[route]]
name = "Alt annet"
to = ["alle"]
"""
    return parse_table(text.replace("'", '"'), "routing.toml", DESTINATIONS)


@dataclass
class World:
    """What is there, and what can be done."""

    altinn: FakeAltinn
    mailbox: Mailbox
    store: Store
    intake: Intake
    dispatch: Dispatch

    def publish(self, attachment: Mapping[str, Any] | None = None, /, **overrides: Any) -> str:
        """A letter with an attachment, whose overviews tell these values; its id."""
        part = PretendAttachment(content=b"%PDF-1.4 x", overrides=attachment or {})
        return self.altinn.publish(
            PretendLetter(party=PARTY, resource=RESOURCE, attachments=(part,), overrides=overrides)
        )

    def poll(self) -> IntakeSummary:
        """One round."""
        return self.intake.poll(self.mailbox, MarkPolicies(), threading.Event())

    def deliver(self) -> Counter[Outcome]:
        """Everything that is due."""
        return self.dispatch.deliver_due(threading.Event())

    def stored(self) -> set[str]:
        """The ids of the letters that are here."""
        return self.store.letters.stored_in("altinn", self.mailbox.channels()[0])


@contextmanager
def odd_world(base: Path, start_from: str = "all") -> Iterator[World]:
    """The world, until the block ends."""
    with ExitStack() as stack:
        altinn = stack.enter_context(FakeAltinn())
        mailbox = _mailbox(base, altinn, start_from)
        stack.callback(mailbox.close)
        store = Store(f"sqlite:///{base / 'postmottak.db'}")
        stack.callback(store.close)
        table, content = routing_table(), ContentFolder(base / "content")
        store.letters.note_table(table.version, table.text, utc_now())
        destinations = _destinations(base, stack)
        fetcher = Fetcher(store=store, content=content, table=lambda: table, clock=utc_now)
        notices = Notices(store=store, table=lambda: table, clock=utc_now)
        yield World(
            altinn=altinn,
            mailbox=mailbox,
            store=store,
            intake=Intake(
                store=store,
                fetcher=fetcher,
                notices=notices,
                here=Carrier(store=store, fetcher=fetcher),
            ),
            dispatch=Dispatch(
                store=store,
                content=content,
                active=active_snapshot(destinations, table),
                clock=utc_now,
                give_up_after=timedelta(days=5),
            ),
        )


def _mailbox(base: Path, altinn: FakeAltinn, start_from: str) -> Mailbox:
    client = altinn.ready_client()
    altinn.allow(client.client_id, PARTY, [RESOURCE])
    (base / "key.pem").write_text(client.private_key)
    told = {
        "maskinporten_url": altinn.maskinporten_url,
        "platform_url": altinn.platform_url,
        "client_id": client.client_id,
        "key_file": "key.pem",
        "key_id": client.key_id,
        "parties": [PARTY],
        "services": ["4255/10"],
        "resources": {"4255/10": [RESOURCE]},
        "confidential": "off",
        "start_from": start_from,
    }
    return altinn3.connect("altinn", altinn3.Settings.model_validate(told, context={"base": base}))


def _destinations(base: Path, stack: ExitStack) -> dict[str, Destination]:
    found: dict[str, Destination] = {}
    for name, options in _DROPS.items():
        (base / name).mkdir()
        found[name] = filedrop.connect(
            name, filedrop.Settings.model_validate({"path": str(base / name), **options})
        )
    mails, hooks = stack.enter_context(MailSink()), stack.enter_context(WebhookSink(secret=SECRET))
    archive = stack.enter_context(SoapSink())
    (base / "webhook.secret").write_text(SECRET)
    mail = {
        "host": "127.0.0.1",
        "port": mails.port,
        "security": "none",
        "sender": "post@example.no",
        "recipients": ["regnskap@example.no"],
    }
    hook = {"url": hooks.url, "secret_file": "webhook.secret"}
    found["mail"] = smtp.connect("mail", smtp.Settings.model_validate(mail, context={"base": base}))
    found["hook"] = webhook.connect(
        "hook", webhook.Settings.model_validate(hook, context={"base": base})
    )
    found["soap"] = soap.connect("soap", soap_settings(archive.url, base))
    for each in found.values():
        stack.callback(each.close)
    return found
