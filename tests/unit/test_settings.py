"""The types with which settings are declared."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors.destinations.filedrop import Settings as FileDrop
from connectors.destinations.webhook import Settings as Webhook
from daemon.config.loader import Kind
from daemon.core.durations import duration
from daemon.core.settings import (
    ConnectorSettings,
    DestinationSettings,
    Duration,
    FilePath,
    MailboxSettings,
    OrganisationNumber,
    Secret,
    SecretFile,
)
from daemon.service import plugins


class Example(ConnectorSettings):
    """One of each type."""

    every: Duration = timedelta(minutes=5)
    folder: FilePath = Path("drop")
    password_file: SecretFile | None = None
    party: OrganisationNumber = "991825827"


def example(base: Path, **values: Any) -> Example:
    """The values as they would be read from a file in `base`."""
    return Example.model_validate(values, context={"base": base})


def problem(base: Path, **values: Any) -> str:
    """What an operator is told about the values."""
    with pytest.raises(ValidationError) as caught:
        example(base, **values)
    return str(caught.value.errors()[0]["msg"])


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("90s", timedelta(seconds=90)),
        ("5m", timedelta(minutes=5)),
        ("12h", timedelta(hours=12)),
        ("7d", timedelta(days=7)),
        ("0s", timedelta()),
        (timedelta(days=1), timedelta(days=1)),
    ],
)
def test_a_length_of_time(text: object, length: timedelta) -> None:
    """A whole number and a unit are a length of time."""
    assert duration(text) == length


@pytest.mark.parametrize(
    "text", ["", "5", "m", "5 m", "5M", "-5m", "1.5h", "5m30s", "5min", "\u0665m", 5, True, None]
)
def test_no_length_of_time(text: object, tmp_path: Path) -> None:
    """Anything else is a fault that says how to write one."""
    assert 'such as "5m"' in problem(tmp_path, every=text)


def test_a_length_of_time_that_no_clock_can_count(tmp_path: Path) -> None:
    """A length of time that is beyond reckoning is a fault like any other."""
    assert 'write a shorter one, such as "30d"' in problem(tmp_path, every="99999999999d")


def test_a_relative_path_starts_at_its_file(tmp_path: Path) -> None:
    """A path is relative to the file that it stands in, not to where the program was started."""
    assert example(tmp_path, folder="in/box").folder == tmp_path / "in" / "box"
    assert example(tmp_path, folder="/srv/box").folder == Path("/srv/box")


@pytest.mark.parametrize("field", ["folder", "password_file"])
def test_the_home_of_nobody_is_a_fault(tmp_path: Path, field: str) -> None:
    """A path that begins with the home of somebody who is not there is a fault of the
    configuration, not of the program."""
    assert problem(tmp_path, **{field: "~nobody-of-this-name/x"})


def test_a_secret_is_read_and_never_shown(tmp_path: Path) -> None:
    """The content of a secret file is at hand, without the line's end, and shows in no text of
    it."""
    (tmp_path / "password").write_text("hunter2\n")
    read = example(tmp_path, password_file="password")
    assert read.password_file
    assert read.password_file.value == "hunter2"
    shown = (
        str(read),
        repr(read),
        str(read.password_file),
        repr(read.password_file),
        f"{read.password_file}",
    )
    assert not any("hunter2" in text for text in shown)
    assert str(tmp_path / "password") in str(read.password_file)


def test_a_secret_comes_from_credentials_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A credential that the service manager hands over is used before a file of the same name."""
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    (tmp_path / "password").write_text("from the file")
    assert example(tmp_path, password_file="password").password_file == Secret(
        tmp_path / "password", "from the file"
    )
    (credentials / "password").write_text("from the manager")
    assert example(tmp_path, password_file="password").password_file == Secret(
        credentials / "password", "from the manager"
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing", "no such file"),
        (".", "is a directory"),
        ("binary", "text file in UTF-8"),
        ("latin", "is not in UTF-8"),
        ("utf-16", "is in UTF-16, which some editors and PowerShell write"),
        ("utf-16-be", "is in UTF-16"),
        ("utf-16-bare", "zero bytes"),
        ("empty", "is empty"),
        ("blank", "is empty"),
        ("mark", "is empty"),
        ("", "is not a file name"),
        (3, "is not a file name"),
    ],
)
def test_a_secret_that_cannot_be_read(tmp_path: Path, name: object, words: str) -> None:
    """A secret file that cannot be read is a fault that says why and what to do."""
    for file, content in {
        "binary": b"\xff\xfe",
        "latin": "pæssord".encode("cp1252"),
        "utf-16": "pæssord\r\n".encode("utf-16"),
        "utf-16-be": "\ufeffpæssord".encode("utf-16-be"),
        "utf-16-bare": "password".encode("utf-16-le"),
        "empty": b"",
        "blank": b" \r\n\t\n",
        "mark": b"\xef\xbb\xbf\r\n",
    }.items():
        (tmp_path / file).write_bytes(content)
    told = problem(tmp_path, password_file=name)
    assert words in told
    assert "ssord" not in told.replace("password_file", "")


@settings(deadline=None)
@given(
    secret=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1),
    before=st.sampled_from(["", "\ufeff"]),
)
@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\r\n\r\n"])
def test_a_secret_from_any_editor(
    tmp_path_factory: pytest.TempPathFactory, secret: str, before: str, end: str
) -> None:
    """A mark before UTF-8 and ends of lines of any system are no part of a secret."""
    assume(secret.strip() and not secret.startswith("\ufeff"))
    folder = tmp_path_factory.mktemp("secret")
    (folder / "password").write_bytes((before + secret + end).encode())
    assert example(folder, password_file="password").password_file == Secret(
        folder / "password", secret.strip()
    )


def test_a_mistyped_organisation_number(tmp_path: Path) -> None:
    """A number with a wrong check digit is refused, with the number and a hint."""
    told = problem(tmp_path, party="991825828")
    assert "991825828" in told
    assert "check digit" in told


def test_a_key_that_is_not_declared(tmp_path: Path) -> None:
    """A key that a connector does not declare is never ignored."""
    with pytest.raises(ValidationError):
        example(tmp_path, evry="5m")


def test_settings_do_not_change(tmp_path: Path) -> None:
    """What was read stays as it was read."""
    with pytest.raises(ValidationError):
        # mypy knows already that it cannot be set
        setattr(example(tmp_path), "every", timedelta(days=1))  # noqa: B010
    assert json.loads(example(tmp_path).model_dump_json())["every"] == "PT5M"


@pytest.mark.parametrize("kind", ["mailbox", "destination"])
def test_each_connector_derives_from_its_base(kind: Kind) -> None:
    """What the service asks of settings is declared in the bases, and no destination has an option
    by inheritance but for the nodes that serve it."""
    base = {"mailbox": MailboxSettings, "destination": DestinationSettings}[kind]
    for connector_type in plugins.connector_types()[kind]:
        settings = plugins.find_settings(kind, connector_type)
        assert settings
        assert issubclass(settings, base), connector_type
    assert set(DestinationSettings.model_fields) == {"nodes"}
    with pytest.raises(ValidationError, match="await_pickup"):
        Webhook.model_validate({"url": "https://x.example.no", "await_pickup": "1h"})


def test_what_the_service_asks_has_an_answer(tmp_path: Path) -> None:
    """The answers of the bases are those of a connector that has nothing to say; options override
    them."""
    plain = DestinationSettings()
    assert (plain.can_notify, plain.pickup_limit, plain.client_certificate) == (False, None, None)
    assert FileDrop(path=tmp_path, await_pickup=timedelta(hours=1)).pickup_limit == timedelta(
        hours=1
    )
    assert MailboxSettings().key_ends is None
