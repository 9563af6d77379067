"""Set up a folder with everything that Postmottak needs to use the sandbox.

These are a key, a secret, a configuration, a routing table and a drop.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

from connectors.sandbox.altinn3.access import ReadyClient
from connectors.sandbox.altinn3.discovery import PretendResource
from connectors.sandbox.altinn3.server import FakeAltinn
from connectors.sandbox.samples import sandbox_resource, sandbox_resources
from daemon.core.dpv import ALL_SERVICES

if TYPE_CHECKING:
    from connectors.sandbox.altinn2.server import PretendAltinn2
    from connectors.sandbox.sinks.soap import SoapSink

PARTY = "910075918"
"""An organisation number from the test population."""
# opens nothing but the sandbox's own sink
WEBHOOK_SECRET = "whsec_cG9zdG1vdHRhayBzYW5kYm94IHNlY3JldA=="  # noqa: S105
_ROUTING = dedent("""\
    # The demo's routing table. The first route that matches decides.

    [[recipient]]
    name = "regnskap"
    title = "Regnskapsavdelingen"
    deliver_to = ["mappe", "epost"]

    [[recipient]]
    name = "eiendom"
    title = "Eiendomsavdelingen"
    deliver_to = ["mappe", "webhook"]

    [[recipient]]
    name = "post"
    title = "Postmottaket"
    deliver_to = ["mappe"]

    [[route]]
    name = "Skatt og avgift"
    services = ["4255/8"]
    title_contains = ["merverdiavgift", "mva", "skatt"]
    to = ["regnskap"]

    [[route]]
    name = "Regnskap fra Brønnøysund"
    senders = ["974760673"]
    to = ["regnskap"]

    [[route]]
    name = "Plan og bygg"
    services = ["plan-bygg-geodata", "trafikk-reiser-samferdsel"]
    to = ["eiendom"]

    [[route]]
    name = "Alt annet"
    to = ["post"]
    """)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """The addresses of the parts. `mail_port` and `webhook_url` are the sinks', if any."""

    folder: Path
    party: str = PARTY
    mail_port: int | None = None
    webhook_url: str | None = None

    @property
    def configuration(self) -> Path:
        """The configuration file."""
        return self.folder / "postmottak.toml"

    @property
    def drop(self) -> Path:
        """The folder that letters are dropped into."""
        return self.folder / "drop"


def prepare(
    altinn: FakeAltinn, scene: Scene, *, mailbox: str = "", routing: str = _ROUTING
) -> ReadyClient:
    """Register a client at the simulated Altinn, let it read the party's mail, and write all files.

    `mailbox` has further options of its section.
    """
    describe_resources(altinn)
    client = altinn.ready_client()
    altinn.allow(client.client_id, scene.party, sandbox_resources().values())
    scene.drop.mkdir(parents=True, exist_ok=True)
    for name, secret in (
        ("maskinporten.pem", client.private_key),
        ("webhook.secret", WEBHOOK_SECRET),
    ):
        (scene.folder / name).touch(mode=0o600)
        (scene.folder / name).write_text(secret, encoding="utf-8")
    (scene.folder / "routing.toml").write_text(_without_missing(routing, scene), encoding="utf-8")
    text = _configuration(
        _altinn3_mailbox(altinn, client, scene) + dedent(mailbox), scene, "postmottak"
    )
    scene.configuration.write_text(text, encoding="utf-8")
    return client


def describe_resources(altinn: FakeAltinn) -> None:
    """Fill the registry with the resources of all services, among some that carry something else.

    Every second one has its Altinn 2 code and edition; the others are known by their titles only.
    """
    for number, service in enumerate(ALL_SERVICES):
        titles = {
            language: title.format(service.names[language].lower())
            for language, title in (_CONFIDENTIAL if service.confidential else _TITLES).items()
        }
        altinn.add_resource(
            PretendResource(
                id=sandbox_resource(service.code),
                title=titles.pop("nb"),
                titles=titles,
                service=service.code if number % 2 else "",
            )
        )
    for resource, title in _OTHERS.items():
        altinn.add_resource(PretendResource(id=resource, title=title, owner=resource[:3]))
    altinn.add_resource(PretendResource(id="app_skd_mva", title="Mva-melding", type="AltinnApp"))


_TITLES = {
    "nb": "Post fra det offentlige innenfor {}",
    "nn": "Post frå det offentlege innanfor {}",
    "en": "Post from the public sector within {}",
}
_CONFIDENTIAL = {
    "nb": "Taushetsbelagt post fra det offentlige innenfor helse, sosial og omsorg",
    "nn": "Teiepliktig post frå det offentlege innanfor helse, sosial og omsorg",
    "en": "Confidential post from the public sector within health, social services and care",
}
_OTHERS = {
    "nav-migratedcorrespondence-5062-1": "Brev om sykmelding",
    "skd-migratedcorrespondence-5229-1": "Skatt: melding om betaling",
    "brg-kunngjoringer": "Kunngjøringer innenfor administrasjon",
}


def prepare_altinn2(altinn: PretendAltinn2, scene: Scene) -> Path:
    """Write another configuration, which reads the simulated Altinn 2; return its path.

    It has a store of its own.
    """
    section = altinn2_section(scene.folder, altinn, scene.party)
    lines = [
        "[mailbox.altinn2]",
        'type = "altinn2"',
        *(f"{key} = {json.dumps(value)}" for key, value in section.items()),
    ]
    path = scene.folder / "altinn2.toml"
    path.write_text(_configuration("\n".join(lines) + "\n", scene, "altinn2"), encoding="utf-8")
    return path


def prepare_archive(
    altinn: FakeAltinn, client: ReadyClient, archive: SoapSink, scene: Scene
) -> Path:
    """Write another configuration, which sends to the archive; return its path.

    It has a store and a routing table of its own.
    """
    from connectors.soap.describe import describe

    wsdl = scene.folder / "arkiv.wsdl"
    wsdl.write_text(archive.wsdl, encoding="utf-8")
    section = describe(str(wsdl)).replace('"@series" = "$?"', '"@series" = "POST"')
    section = section.replace(
        'success_values = ["$?"]', 'success_values = ["OK"]\ntemporary_values = ["BUSY"]'
    )
    table = (
        'recipient = [{ name = "post", deliver_to = ["arkiv"] }]\nroute = [{ name = "Alt", to = '
        '["post"] }]\n'
    )
    (scene.folder / "archive-routing.toml").write_text(table, encoding="utf-8")
    path = scene.folder / "archive.toml"
    text = _configuration(_altinn3_mailbox(altinn, client, scene), scene, "archive")
    path.write_text(
        text.replace('"routing.toml"', '"archive-routing.toml"') + "\n" + section, encoding="utf-8"
    )
    return path


def altinn2_section(folder: Path, altinn: PretendAltinn2, party: str) -> dict[str, object]:
    """Return the settings of a mailbox that reads the simulated Altinn 2, without its type.

    Writes its secret files.
    """
    secrets = {
        "system_password_file": "systemPassword",
        "user_ssn_file": "userSSN",
        "user_password_file": "userPassword",
        "user_pin_file": "userPinCode",
    }
    files: dict[str, object] = {}
    for key, name in secrets.items():
        path = folder / f"altinn2-{key.removesuffix('_file').replace('_', '-')}"
        path.touch(mode=0o600)
        path.write_text(altinn.credentials[name], encoding="utf-8")
        files[key] = path.name
    return {
        "url": altinn.url,
        "system_name": altinn.credentials["systemUserName"],
        **files,
        "parties": [party],
    }


def _without_missing(routing: str, scene: Scene) -> str:
    """Return the routing table without destinations that have no sink."""
    missing = [
        name
        for name, sink in (("epost", scene.mail_port), ("webhook", scene.webhook_url))
        if sink is None
    ]
    for name in missing:
        routing = routing.replace(f', "{name}"]', "]")
    return routing


def _altinn3_mailbox(altinn: FakeAltinn, client: ReadyClient, scene: Scene) -> str:
    return dedent(f"""\
        [mailbox.altinn]
        type = "altinn3"
        maskinporten_url = "{altinn.maskinporten_url}"
        platform_url = "{altinn.platform_url}"
        client_id = "{client.client_id}"
        key_file = "maskinporten.pem"
        key_id = "{client.key_id}"
        parties = ["{scene.party}"]
        """)


def _configuration(mailboxes: str, scene: Scene, store: str) -> str:
    sections = [
        f"""\
        [store]
        database = "sqlite:///{store}.db"
        content = "{"content" if store == "postmottak" else f"content-{store}"}"

        [routing]
        file = "routing.toml"

        """,
        mailboxes,
        """
        [destination.mappe]
        type = "filedrop"
        path = "drop"
        """,
    ]
    if scene.mail_port is not None:
        sections.append(f"""
        [destination.epost]
        type = "smtp"
        host = "127.0.0.1"
        port = {scene.mail_port}
        security = "none"
        sender = "postmottak@example.no"
        recipients = ["regnskap@example.no"]
        """)
    if scene.webhook_url is not None:
        sections.append(f"""
        [destination.webhook]
        type = "webhook"
        url = "{scene.webhook_url}"
        secret_file = "webhook.secret"
        """)
    return "".join(dedent(section) for section in sections)
