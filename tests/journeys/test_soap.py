"""Letters into an archive that speaks SOAP."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from connectors.sandbox.sinks.soap import WSDL, SoapSink
from tests.journeys.conftest import Journey

_ROWS = """
"@series" = "POST"
MessageId = "$delivery.id"
Title = "$title"
DocumentDate = "$published_at"
Received = "$fetched_at"
DueDate = "$due_at"
Sender = { Name = "$sender.name" }
File."$each" = "attachments"
File.FileName = "$file.name"
File.MediaType = "$file.media_type"
File.Content = "$file.content"
"""


def add_archive(journey: Journey, url: str) -> None:
    """Send a copy of everything there too."""
    folder = journey.scene.folder
    shutil.copy(WSDL, folder / "arkiv.wsdl")
    section = (
        '[destination.arkiv]\ntype = "soap"\nwsdl = "arkiv.wsdl"\noperation = '
        f'"ReceiveDocument"\naddress = "{url}"\n'
    )
    with journey.scene.configuration.open("a") as file:
        file.write(f"{section}[destination.arkiv.input]{_ROWS}")
    table = folder / "routing.toml"
    table.write_text(table.read_text().replace('"mappe"', '"mappe", "arkiv"'))


def test_letters_reach_an_archive_by_soap(journey: Journey) -> None:
    """`check` proves WSDL, mapping and address and sends nothing; `poll` brings every letter there
    once, and a second poll none."""
    journey = replace(journey, checkout=True)
    with SoapSink() as sink:
        add_archive(journey, sink.url)
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


@pytest.mark.skipif(
    "POSTMOTTAK" not in os.environ, reason="the checkout's environment has all extras"
)
def test_without_the_extra_the_configuration_says_what_to_install(journey: Journey) -> None:
    """A wheel without the extra tells it, shows no traceback, and works as ever without that
    section."""
    whole = journey.scene.configuration.read_text()
    table = Path(journey.scene.folder, "routing.toml").read_text()
    add_archive(journey, "http://127.0.0.1:1/archive")
    for command in (("check", "--offline"), ("poll",), ("soap", "describe", "arkiv.wsdl")):
        ended = journey.run(*command)
        assert ended.code == 1
        assert "pip install '<the wheel>[soap]'" in ended.errors
        assert "Traceback" not in ended.errors
    journey.scene.configuration.write_text(whole)
    Path(journey.scene.folder, "routing.toml").write_text(table)
    journey.publish(2)
    assert journey.poll().code == 0
