"""The service: polls by itself, delivers, and stops when it is told to."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable

import pytest

from connectors.sandbox.sinks.webhook import Reply
from tests.journeys.conftest import Begin, Journey


def test_polls_on_its_schedule(begun: Callable[..., Begin]) -> None:
    """Letters that are published while the service runs arrive without anybody asking."""
    with begun(mailbox='poll_every = "1s"\n') as journey:
        process = journey.start("run")
        assert journey.altinn.wait_for_calls("list", 1, timeout=20)
        letters = journey.publish(13)
        assert journey.altinn.wait_for(
            lambda: len(journey.whole_drops()) == len(letters), timeout=20
        )
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=10)
    assert process.returncode == 0, errors
    assert journey.dropped_ids() == sorted(letters)


def test_stops_with_work_in_flight(journey: Journey) -> None:
    """SIGTERM ends the service within ten seconds although a destination does not answer; nothing
    is lost by it."""
    letters = journey.publish(13)
    journey.webhook.script(*[Reply(delay=12)] * 3)
    process = journey.start("run")
    assert journey.webhook.wait_for(1, timeout=20) or journey.altinn.wait_for(
        lambda: len(journey.whole_drops()) == len(letters), timeout=20
    )
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert time.monotonic() - began < 10
    assert process.returncode == 0
    journey.webhook.script()
    assert journey.poll().code == 0
    assert journey.dropped_ids() == sorted(letters)


def test_two_do_not_work_on_one_store(journey: Journey) -> None:
    """A poll beside the running service is refused with the reason, and disturbs nothing."""
    process = journey.start("run")
    assert journey.altinn.wait_for_calls("list", 1, timeout=20)
    refused = journey.poll()
    assert refused.code == 4
    assert "another postmottak is using" in refused.errors
    assert "Traceback" not in refused.errors
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
    assert process.returncode == 0


def _sends(listener: socket.socket, beginning: str) -> str:
    """Wait for the message that begins so."""
    while not (message := listener.recv(4096).decode()).startswith(beginning):
        pass
    return message


def test_tells_systemd(journey: Journey, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening, ready while Altinn is away, alive while it works, reloading and ready again with the
    fault in words, and stopping at the end."""
    text = journey.scene.configuration.read_text()
    journey.scene.configuration.write_text(
        text.replace(journey.altinn.maskinporten_url, "http://127.0.0.1:9/")
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(journey.scene.folder / "notify"))
        listener.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", str(journey.scene.folder / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "900000")
        process = journey.start("run")
        _sends(listener, "EXTEND_TIMEOUT_USEC=")
        assert "1 mailbox, 3 destinations" in _sends(listener, "READY=1")
        _sends(listener, "WATCHDOG=1")
        (journey.scene.folder / "routing.toml").write_text("nonsense")
        process.send_signal(signal.SIGHUP)
        assert "MONOTONIC_USEC=" in _sends(listener, "RELOADING=1")
        assert "STATUS=an edit was ignored because it has errors: " in _sends(listener, "READY=1")
        _sends(listener, "WATCHDOG=1")
        process.send_signal(signal.SIGTERM)
        _sends(listener, "STOPPING=1")
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
