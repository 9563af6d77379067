"""Letters into an archive that speaks SOAP."""

from __future__ import annotations

import shutil

from connectors.sandbox.soap_sink import WSDL, SoapSink
from tests.journeys.conftest import Journey


def test_letters_reach_an_archive_by_soap(journey: Journey) -> None:
    """`check` proves WSDL, mapping and address and sends nothing; `poll` brings every letter there once, and a second poll none."""
    with SoapSink() as sink:
        folder = journey.scene.folder
        shutil.copy(WSDL, folder / "arkiv.wsdl")
        section = f"""
[destination.arkiv]
type = "soap"
wsdl = "arkiv.wsdl"
operation = "ReceiveDocument"
address = "{sink.url}"
input = {{ "@series" = "POST", MessageId = "$delivery.id", Title = "$title", DocumentDate = "$published_at", Received = "$fetched_at", \
DueDate = "$due_at", Sender = {{ Name = "$sender.name" }}, File = {{ "$each" = "attachments", FileName = "$file.name", \
MediaType = "$file.media_type", Content = "$file.content" }} }}
""".replace("\\\n", "")
        with journey.scene.configuration.open("a") as file:
            file.write(section)
        table = folder / "routing.toml"
        table.write_text(table.read_text().replace('"mappe"', '"mappe", "arkiv"'))
        checked = journey.run("check")
        assert checked.code == 0, checked.output + checked.errors
        assert "the mapping fits the operation ReceiveDocument" in checked.output
        assert sink.requests == ()
        letters = journey.publish(13)
        assert journey.poll().code == 0
        assert sink.refused == ()
        assert (len(sink.documents), sink.repeats) == (len(letters), 0)
        assert any(document.files for document in sink.documents)
        assert journey.poll().code == 0
        assert len(sink.documents) == len(letters)
        described = journey.run("soap", "describe", "arkiv.wsdl")
        assert "operation ReceiveDocument" in described.output
