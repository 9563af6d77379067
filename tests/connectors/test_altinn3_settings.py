"""What an operator may write under `[mailbox.NAME]`, what it means, and what is said of what cannot
be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.altinn3.connection import longest_pause
from connectors.altinn3.settings import Settings, channels_of
from connectors.mailboxes.altinn3 import connect
from connectors.sandbox.altinn3.access import ready_client
from daemon.core.dpv import DPV_SERVICES
from daemon.core.model import Policy
from daemon.core.ports import Channel
from daemon.core.settings import ConnectorSettings

PARTY, OTHER = "991825827", "974761076"
NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "maskinporten.pem").write_text(ready_client(PARTY).private_key)
    return tmp_path


def read(base: Path, **other: Any) -> Settings:
    plain = {
        "environment": "tt02",
        "client_id": "c",
        "key_file": "maskinporten.pem",
        "key_id": "k",
        "parties": [PARTY],
    }
    told = {key: value for key, value in (plain | other).items() if value is not None}
    return Settings.model_validate(told, context={"base": base})


def fault(base: Path, **other: Any) -> tuple[tuple[Any, ...], str]:
    with pytest.raises(ValidationError) as caught:
        read(base, **other)
    (found,) = caught.value.errors()
    return found["loc"], found["msg"]


def test_what_is_left_out_has_the_promised_defaults(base: Path) -> None:
    """All ten services, confidential post only listed, nothing told to senders, five minutes, seven
    days, thirty days."""
    settings = read(base)
    assert settings.services == tuple(each.code for each in DPV_SERVICES)
    assert (settings.confidential, settings.mark_read, settings.confirm) == (
        "list",
        Policy.NEVER,
        Policy.NEVER,
    )
    assert (settings.poll_every, settings.look_back, settings.start_from) == (
        timedelta(minutes=5),
        timedelta(days=7),
        timedelta(days=30),
    )
    assert isinstance(settings, ConnectorSettings)


@pytest.mark.parametrize(
    ("told", "maskinporten", "platform"),
    [
        ({"environment": "prod"}, "https://maskinporten.no/", "https://platform.altinn.no"),
        (
            {"environment": "tt02"},
            "https://test.maskinporten.no/",
            "https://platform.tt02.altinn.no",
        ),
        (
            {"platform_url": "https://proxy.example/"},
            "https://test.maskinporten.no/",
            "https://proxy.example",
        ),
        (
            {
                "environment": None,
                "maskinporten_url": "http://127.0.0.1:1",
                "platform_url": "http://localhost:1/",
            },
            "http://127.0.0.1:1/",
            "http://localhost:1",
        ),
    ],
)
def test_addresses_follow_from_the_environment_or_are_written(
    base: Path, told: dict[str, Any], maskinporten: str, platform: str
) -> None:
    """Maskinporten's address ends with a slash, as its audience must, and the platform's does not,
    however they are written."""
    settings = read(base, **told)
    assert (settings.maskinporten_url, settings.platform_url) == (maskinporten, platform)


FAULTS: dict[str, tuple[dict[str, Any], tuple[Any, ...], str]] = {
    "clear text": (
        {"platform_url": "http://platform.altinn.no"},
        ("platform_url",),
        "begins with https://",
    ),
    "password": (
        {"platform_url": "https://me:hush@platform.altinn.no"},
        ("platform_url",),
        "begins with https://",
    ),
    "environment": ({"environment": "test"}, ("environment",), "'prod' or 'tt02'"),
    "no party": ({"parties": []}, ("parties",), "name at least one"),
    "party twice": ({"parties": [PARTY, PARTY]}, ("parties",), "names '991825827' twice"),
    "check digit": ({"parties": ["991825828"]}, ("parties", 0), "not a valid organisation number"),
    "unknown service": (
        {"services": ["4255/11"]},
        ("services", 0),
        "'4255/11' is not a known service; did you mean '4255/1'?",
    ),
    "misspelt service": (
        {"services": ["skater-avgifter"]},
        ("services", 0),
        "did you mean 'skatter-avgifter'?",
    ),
    "service twice": (
        {"services": ["4255/8", "skatter-avgifter"]},
        ("services",),
        "names '4255/8' twice",
    ),
    "confidential service": (
        {"services": ["5504/1"]},
        ("services", 0),
        "a key of its own, `confidential`",
    ),
    "no service": ({"services": []}, ("services",), "name at least one"),
    "resource of unknown service": (
        {"resources": {"4255/99": ["x"]}},
        ("resources",),
        "'4255/99' is not a known service",
    ),
    "resource of two services": (
        {"resources": {"4255/1": ["x"], "4255/2": ["x"]}},
        ("resources",),
        "for both 4255/1 and 4255/2",
    ),
    "service by code and name": (
        {"resources": {"4255/8": ["x"], "skatter-avgifter": ["y"]}},
        ("resources",),
        "by code and by name",
    ),
    "no resource": ({"resources": {"4255/8": []}}, ("resources",), "name at least one"),
    "resources of another kind": ({"resources": "all"}, ("resources",), 'write "auto", or a table'),
    "resource with prefix": (
        {"resources": {"4255/8": ["urn:altinn:resource:x"]}},
        ("resources", "4255/8", 0),
        "write the plain id",
    ),
    "confidential": ({"confidential": "yes"}, ("confidential",), "'list', 'fetch' or 'off'"),
    "no interval": ({"poll_every": "0s"}, ("poll_every",), "must be longer than zero"),
    "start": ({"start_from": "everything"}, ("start_from",), "is not a valid duration"),
    "start list": ({"start_from": ["all"]}, ("start_from",), "is not a valid duration"),
    "policy": (
        {"mark_read": "always"},
        ("mark_read",),
        "'never', 'stored', 'delivered' or 'acknowledged'",
    ),
    "unknown key": ({"mark_red": "never"}, ("mark_red",), "Extra inputs"),
    "missing key file": ({"key_file": "nothing.pem"}, ("key_file",), "create the file"),
    "missing client": ({"client_id": ""}, ("client_id",), "copy it from the client"),
    "no day": ({"key_expires": "in a year"}, ("key_expires",), "valid date"),
    "no authority": (
        {"ca_file": "maskinporten.pem"},
        ("ca_file",),
        "name a file of certificates in PEM",
    ),
}


@pytest.mark.parametrize(("told", "where", "words"), FAULTS.values(), ids=list(FAULTS))
def test_what_cannot_be_is_told_where_it_stands(
    base: Path, told: dict[str, Any], where: tuple[Any, ...], words: str
) -> None:
    """Each fault names its key, what is wrong and what to write instead, and brings no others with
    it."""
    loc, text = fault(base, **told)
    assert loc == where
    assert words in text


def test_a_key_that_cannot_be_read_is_told_at_load(base: Path) -> None:
    """A broken key is a fault of the configuration, not of the first poll."""
    (base / "broken.pem").write_text(
        "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n"
    )
    loc, text = fault(base, key_file="broken.pem")
    assert loc == ("key_file",)
    assert "MIIB" not in text


def test_both_addresses_are_missed_without_an_environment(base: Path) -> None:
    """Without an environment each missing address is told by itself."""
    with pytest.raises(ValidationError) as caught:
        read(base, environment=None)
    assert [found["loc"] for found in caught.value.errors()] == [
        ("maskinporten_url",),
        ("platform_url",),
    ]


def test_secrets_do_not_show(base: Path) -> None:
    """Settings and mailbox can be printed: neither key nor subscription key is in it."""
    settings = read(base, subscription_key="hush-hush")
    mailbox = connect("altinn", settings)
    said = repr(settings) + str(settings) + repr(mailbox) + repr(vars(mailbox))
    assert not any(secret in said for secret in ("hush-hush", "PRIVATE"))


def channel(service: str, resource: str, party: str = PARTY, **other: bool) -> Channel:
    return Channel(party=party, service=service, resource=resource, **other)


def test_channels_are_in_the_order_of_the_configuration(base: Path) -> None:
    """By party, service and resource; what is configured is not a guess, and replaces every guess
    for its service."""
    settings = read(
        base,
        parties=[OTHER, PARTY],
        services=["skatter-avgifter", "4255/10", "4255/2"],
        resources={"4255/8": ["skatt-b", "skatt-a"]},
        confidential="off",
    )
    expected = [
        (service, resource, presumed)
        for service, resource, presumed in (
            ("4255/8", "skatt-b", False),
            ("4255/8", "skatt-a", False),
            ("4255/10", "eformidling-dpv-administrasjon", False),
            ("4255/10", "asf-migratedcorrespondence-4255-10", True),
            ("4255/2", "asf-migratedcorrespondence-4255-2", True),
        )
    ]
    assert channels_of(settings) == tuple(
        channel(service, resource, party, presumed=presumed)
        for party in (OTHER, PARTY)
        for service, resource, presumed in expected
    )


@pytest.mark.parametrize(("told", "list_only"), [("list", True), ("fetch", False)])
def test_confidential_post_is_listed_or_fetched(base: Path, told: str, list_only: bool) -> None:
    """By default confidential post is only noticed, and a lack of access to it is not an error; to
    fetch it is a choice."""
    fetch = not list_only
    assert channels_of(read(base, services=["4255/1"], confidential=told))[1:] == (
        channel(
            "5504/1",
            "eformidling-dpv-taushetsbelagt",
            presumed=list_only,
            list_only=list_only,
            fetch_confidential=fetch,
        ),
        channel(
            "5504/1",
            "asf-migratedcorrespondence-5504-1",
            presumed=True,
            list_only=list_only,
            fetch_confidential=fetch,
        ),
    )


def test_confidential_post_can_be_left_alone(base: Path) -> None:
    """With `off` it has no channel, whatever its resources."""
    assert not [
        each
        for each in channels_of(read(base, confidential="off", resources={"5504/1": ["x"]}))
        if each.service == "5504/1"
    ]


def test_a_resource_is_listed_under_one_service(base: Path) -> None:
    """A resource that is presumed for one service and configured for another belongs to the
    latter."""
    channels = channels_of(read(base, resources={"4255/8": ["eformidling-dpv-administrasjon"]}))
    assert [
        each.service for each in channels if each.resource == "eformidling-dpv-administrasjon"
    ] == ["4255/8"]


@pytest.mark.parametrize(("every", "pause"), [(5, 4.5), (60, 9.5), (1, 0.5), (0.1, 0.05)])
def test_a_host_that_is_down_is_tried_at_each_poll(every: float, pause: float) -> None:
    """The longest pause leaves room for a call that takes its time to fail, and is ten minutes at
    most."""
    assert longest_pause(timedelta(minutes=every)) == timedelta(minutes=pause)


def test_each_poll_looks_back(base: Path) -> None:
    """The first listing begins `start_from` ago, or at the beginning; later ones `look_back` before
    what has been read."""
    mailbox, everything = (
        connect("a", read(base)),
        connect("a", read(base, start_from="all", look_back="12h")),
    )
    one = mailbox.channels()[0]
    assert mailbox.earliest(one, None, NOW) == NOW - timedelta(days=30)
    assert mailbox.earliest(one, NOW, NOW) == NOW - timedelta(days=7)
    assert everything.earliest(one, None, NOW) is None
    assert everything.earliest(one, NOW, NOW) == NOW - timedelta(hours=12)
