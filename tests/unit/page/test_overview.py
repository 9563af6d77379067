"""The overview: its numbers are those of `status`, and its chart says what its table says."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from typer.testing import CliRunner

from daemon.cli import app as command_line
from daemon.core.model import DeliveryState, LetterRef, SightingState
from tests.unit.page.conftest import Site
from tests.unit.page.everything import OURS, keep_letter


def _filled(site: Site) -> None:
    site.clock.now = datetime.now(UTC)
    for number, state in enumerate((*DeliveryState, None, DeliveryState.DEAD)):
        when = site.clock.now - timedelta(days=number)
        keep_letter(site, f"l{number}", OURS, "regnskap", state, published_at=when)
    ref = LetterRef(
        mailbox="altinn", party=OURS, service="5504/1", resource="x", external_id="secret"
    )
    site.store.letters.record_skipped(ref, SightingState.WAITING, site.clock.now)


def write_key(site: Site) -> None:
    """Write the key of the mailbox, which the command opens and the page does not."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    site.folder.joinpath("key.pem").write_bytes(pem)


def test_facts_are_those_of_status(site: Site) -> None:
    """Each number, without limits, is the one that `postmottak status --json` prints."""
    _filled(site)
    shown = site.user("kari", "reader", "operator").get("/").text
    found = re.findall(r'data-testid="fact" data-name="(\w+)" data-count="(\d+)"', shown)
    write_key(site)
    command = ["--config", str(site.page.configuration.path), "status", "--json"]
    status = json.loads(CliRunner().invoke(command_line, command).stdout)
    states = status["deliveries"]
    assert {name: int(count) for name, count in found} == {
        "messages": status["messages"],
        "waiting": states["pending"] + states["claimed"],
        "dead": states["dead"],
        "held": states["held"],
        "confidential": status["listed"]["waiting"],
    }
    assert states["dead"] == 2


def test_the_chart_says_what_the_table_says(site: Site) -> None:
    """Its accessible name has the sum, and the table has the days' numbers."""
    _filled(site)
    shown = site.user("kari", "reader").get("/").text
    chart = re.search(r'data-testid="chart" aria-label="(\d+) brev på 60 dager"', shown)
    assert chart
    bars = re.findall(r"<title>([\d.]+): (\d+)</title>", shown)
    table = re.findall(r'<tr><th scope="row">([\d.]+)</th><td>(\d+)</td></tr>', shown)
    assert bars == table
    assert sum(int(count) for _, count in table) == int(chart[1]) == 8
