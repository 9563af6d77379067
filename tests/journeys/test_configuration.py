"""An operator's mistakes: all of them at once, in words, and nothing touched."""

from __future__ import annotations

from tests.journeys.conftest import Journey

WRONG = """\
[store]
database = "sqlite:///postmottak.db"
content = "content"

[routing]
file = "routing.toml"

[mailbox.altinn]
type = "altinn3"
maskinporten_url = "http://127.0.0.1:1/"
platform_url = "http://127.0.0.1:1"
client_id = "2f8d5c1e-5f0e-4f6b-8f43-0a8f0e7d5b11"
key_file = "missing.pem"
key_id = "k"
parties = ["987654321"]
poll_evry = "5m"
look_back = 7

[destination.mappe]
type = "filedrop"
path = "drop"

[destination.epost]
type = "carrier-pigeon"
"""
TABLE = """\
[[recipient]]
name = "post"
deliver_to = ["mape"]

[[route]]
name = "skatt"
services = ["4255/18"]
to = ["post"]

[[route]]
name = "bygg"
title_contains = ["bygg"]
to = ["post"]
"""


def test_every_fault_at_once(journey: Journey) -> None:
    """Unknown keys, wrong types, missing files, check digits, names and no catch-all are told
    together, with a remedy each."""
    journey.scene.configuration.write_text(WRONG)
    (journey.scene.folder / "routing.toml").write_text(TABLE)
    for command in (["check", "--offline"], ["poll"], ["run"]):
        ended = journey.run(*command)
        assert ended.code == 1
        assert ended.output == ""
        assert "Traceback" not in ended.errors
        for words in (
            "key_file: cannot be read",
            "'987654321' is not an organisation number",
            "'poll_evry' is no key here. Did you mean 'poll_every'?",
            "look_back: is not a duration",
            "'carrier-pigeon' is no type of destination",
            "'mape' is no destination. Did you mean 'mappe'?",
            "'4255/18' is no service",
            "the last route, 'bygg', has conditions",
        ):
            assert words in ended.errors
    assert not (journey.scene.folder / "postmottak.db").exists()
    assert journey.altinn.count() == 0


def test_faults_as_json(journey: Journey) -> None:
    """check --json tells each fault with file, line, key, problem and remedy, and stdout is one
    JSON document."""
    journey.scene.configuration.write_text(WRONG)
    ended = journey.run("check", "--offline", "--json")
    assert ended.code == 1
    assert ended.json["ok"] is False
    fault = next(fault for fault in ended.json["faults"] if "poll_evry" in fault["key"])
    assert fault["line"] == WRONG.splitlines().index('poll_evry = "5m"') + 1
    assert {"file", "line", "key", "problem", "remedy"} == set(fault)


def test_a_right_configuration(journey: Journey) -> None:
    """A right configuration passes; online each mailbox and destination is proved, and nothing is
    changed at either."""
    journey.publish(3)
    assert journey.run("check", "--offline").code == 0
    assert journey.altinn.count() == 0
    online = journey.run("check", "--json")
    assert online.code == 0, online.output
    subjects = {finding["subject"] for finding in online.json["findings"]}
    assert {"destination mappe", "destination epost", "destination webhook"} < subjects
    assert journey.altinn.count("overview", "download", "markasread", "confirm") == 0
    assert journey.drops() == []
    assert journey.webhook.requests == ()
    assert journey.mail.mails == ()


def test_usage(journey: Journey) -> None:
    """Wrong usage ends with 2, a missing configuration with 1, and neither with a traceback."""
    assert journey.run("pol").code == 2
    assert journey.run("poll", "--no-such-option").code == 2
    journey.scene.configuration.unlink()
    missing = journey.run("poll")
    assert missing.code == 1
    assert "the file cannot be read" in missing.errors
    assert "Traceback" not in missing.errors
