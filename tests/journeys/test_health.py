"""Nothing says that all is well while letters lie still: 30 of 30 that cannot be delivered."""

from __future__ import annotations

import re
import signal
import socket
import time

import pytest

from benchmarks.loopback import free_port
from tests.journeys.conftest import Journey

_CLOSED = re.compile(r"CRITICAL: mappe: \d+ deliveries fail( and \d+ waits? behind)?, the oldest ")
_MINUTE = 60.0


def test_thirty_of_thirty(journey: Journey, monkeypatch: pytest.MonkeyPatch) -> None:
    """The drop's folder cannot be written: within a minute the unit's status line, `status`, its
    line for monitors, the metrics and one mail say so, with the remedy; the log warns once. When
    the folder is there all of them say that all is well."""
    port = free_port()
    sections = (
        f'[alerts]\nto = ["epost"]\nfree_bytes = 0\n[monitoring]\nlisten = "127.0.0.1:{port}"\n'
    )
    journey.scene.configuration.write_text(journey.scene.configuration.read_text() + sections)
    journey.publish(30)
    journey.scene.drop.rmdir()
    journey.scene.drop.write_text("a file where the folder should be")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(journey.scene.folder / "notify"))
        listener.settimeout(_MINUTE)
        monkeypatch.setenv("NOTIFY_SOCKET", str(journey.scene.folder / "notify"))
        log = (journey.scene.folder / "log").open("w")
        process = journey.start("run", errors=log)
        wrong = _status_line(listener, "CRITICAL: mappe: ")
        assert _CLOSED.match(wrong)
        assert journey.altinn.wait_for(lambda: len(_alerts(journey)) == 1, timeout=_MINUTE)

        shown, monitor = journey.run("status"), journey.run("status", "--monitor")
        assert (shown.code, monitor.code) == (3, 2)
        assert _CLOSED.match(shown.output)
        assert "is not a folder\n    name one in path\n" in shown.output
        assert monitor.output.startswith("POSTMOTTAK CRITICAL - mappe: ")
        assert "postmottak_health 2.0" in journey.metrics(port)
        assert 'postmottak_alerts{kind="failing"} 1.0' in journey.metrics(port)
        (mail,) = _alerts(journey)
        assert "is not a folder" in mail
        assert "What to do: name one in path" in mail

        journey.scene.drop.unlink()
        journey.scene.drop.mkdir()
        ids = [
            each["id"]
            for each in journey.run("deliveries", "list", "--state", "pending", "--json").json
        ]
        journey.run("deliveries", "retry", *ids)
        assert _status_line(listener, "OK: ").startswith("OK: all letters are delivered")
        assert journey.run("status").code == 0
        assert journey.run("status", "--monitor").code == 0
        assert "postmottak_health 0.0" in journey.metrics(port)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
        log.close()
    lines = (journey.scene.folder / "log").read_text().splitlines()
    warnings = [
        line for line in lines if "delivery attempted" in line and "level='warning'" in line
    ]
    assert len(warnings) == 1
    assert len([line for line in lines if "outcome='deferred'" in line]) == 1


def _status_line(listener: socket.socket, beginning: str) -> str:
    """Wait for the status line that begins so."""
    ends = time.monotonic() + _MINUTE
    while time.monotonic() < ends:
        for line in listener.recv(8192).decode().splitlines():
            if line.removeprefix("STATUS=").startswith(beginning):
                return line.removeprefix("STATUS=")
    raise AssertionError(beginning)


def _alerts(journey: Journey) -> list[str]:
    """The texts of the mails that alert."""
    return [
        each.message.get_content()
        for each in journey.mail.mails
        if "mappe" in str(each.message["Subject"]) and "Postmottak:" in each.message["Subject"]
    ]
