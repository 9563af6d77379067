"""How long a round of lists takes for many organisations, when each call waits for Altinn."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import structlog

from benchmarks.bell import intake_of, numbers
from benchmarks.report import Figure
from connectors.altinn3.settings import Settings
from connectors.mailboxes.altinn3 import Altinn3
from connectors.net.http_client import HttpClient
from connectors.sandbox.altinn3.server import FakeAltinn
from daemon.intake.new_letter import MarkPolicies
from daemon.store import Store

_PARTIES, _RESOURCES, _LATENCY = 200, 11, 0.1
_MOST = 1.2


def abreast(folder: Path) -> Iterator[Figure]:
    """Measure a round of organisations with a system user each, and so with tokens of their own."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with ExitStack() as stack:
        altinn = stack.enter_context(FakeAltinn())
        mailbox = _mailbox(stack, folder, altinn)
        store = Store(f"sqlite:///{folder / 'letters.db'}")
        stack.callback(store.close)
        intake = intake_of(folder, store, altinn.clock.now)
        altinn.latency = _LATENCY
        began = time.perf_counter()
        found = intake.poll(mailbox, MarkPolicies(), threading.Event())
        took = time.perf_counter() - began
        assert not found.problems
        limit = altinn.count() * _LATENCY / intake.here.workers
    yield Figure(
        what=f"a round of {_PARTIES} organisations x {_RESOURCES} lists, 100 ms a call",
        measured=f"{took:.1f} s, {took / limit:.2f} x calls x latency / {intake.here.workers}",
        beside=f"{altinn.count()} calls, tokens included; {limit:.1f} s at best",
        wanted=f"at most {_MOST} x",
        held=took <= _MOST * limit,
    )


def _mailbox(stack: ExitStack, folder: Path, altinn: FakeAltinn) -> Altinn3:
    client, parties = altinn.ready_client(), numbers(_PARTIES)
    resources = [f"eformidling-dpv-{number}" for number in range(_RESOURCES)]
    for party in parties:
        altinn.allow(client.client_id, party, resources)
    (folder / "key.pem").write_text(client.private_key)
    told = {
        "maskinporten_url": altinn.maskinporten_url,
        "platform_url": altinn.platform_url,
        "client_id": client.client_id,
        "key_file": "key.pem",
        "key_id": client.key_id,
        "parties": parties,
        "services": ["4255/10"],
        "resources": {"4255/10": resources},
        "confidential": "off",
        "bell": "off",
    }
    settings = Settings.model_validate(told, context={"base": folder})
    mailbox = Altinn3("altinn", settings, HttpClient(longest_pause=1), altinn.clock.now)
    stack.callback(mailbox.close)
    return mailbox
