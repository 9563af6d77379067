"""The configuration file: whole and right, or every fault of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from daemon.config import loader
from daemon.config.loader import Kind, Reading
from daemon.core.errors import ConfigurationError, Fault
from daemon.core.model import Policy
from daemon.core.settings import (
    ConnectorSettings,
    DestinationSettings,
    FilePath,
    MailboxSettings,
    OrganisationNumber,
    SecretFile,
)


class Box(MailboxSettings):
    """A mailbox's settings."""

    parties: tuple[OrganisationNumber, ...]
    key_file: SecretFile
    mark_read: Policy = Policy.NEVER


class Drop(DestinationSettings):
    """A destination's settings."""

    path: FilePath


class Blind(Drop):
    """The settings of a destination whose receiver would take a test for a letter."""

    @property
    def can_send_test(self) -> bool:
        return False


DECLARED: Mapping[Kind, Mapping[str, type[ConnectorSettings]]] = {
    "mailbox": {"box": Box},
    "destination": {"drop": Drop, "blind": Blind},
}
TYPES: dict[Kind, tuple[str, ...]] = {"mailbox": ("box",), "destination": ("drop", "blind")}
WHOLE = """\
[store]
database = "sqlite:///data/postmottak.db"
content = "content"

[mailbox.altinn]
type = "box"
parties = ["991825827"]
key_file = "key.pem"
mark_read = "stored"

[destination.erp]
type = "drop"
path = "/srv/erp"

[destination.arkiv]
type = "drop"
path = "arkiv"

[delivery]
give_up_after = "3d"

[routing]
file = "routing.toml"
"""


def read(folder: Path, text: str) -> Reading:
    """What comes of reading `text` in a folder with a key."""
    (folder / "key.pem").write_text("KEY")
    path = folder / "postmottak.toml"
    path.write_text(text, encoding="utf-8")
    return loader.read(path, lambda kind, name: DECLARED[kind].get(name), TYPES)


def the_fault(folder: Path, old: str, new: str) -> Fault:
    """The only fault of a configuration in which `old` is replaced."""
    assert old in WHOLE
    (fault,) = read(folder, WHOLE.replace(old, new)).faults
    return fault


def test_a_whole_configuration(tmp_path: Path) -> None:
    """A right file is read whole: its paths relative to it, its connectors in its order, its
    secrets read."""
    reading = read(tmp_path, WHOLE)
    found = reading.configuration
    assert reading.faults == ()
    assert found
    assert found.store.database == f"sqlite:///{tmp_path}/data/postmottak.db"
    assert found.store.beside == tmp_path / "data" / "postmottak.db"
    assert found.store.content == tmp_path / "content"
    assert [(each.name, each.type) for each in found.destinations] == [
        ("erp", "drop"),
        ("arkiv", "drop"),
    ]
    assert [each.settings for each in found.destinations] == [
        Drop(path=Path("/srv/erp")),
        Drop(path=tmp_path / "arkiv"),
    ]
    (mailbox,) = found.mailboxes
    assert isinstance(mailbox.settings, Box)
    assert (mailbox.settings.key_file.value, mailbox.settings.mark_read) == ("KEY", Policy.STORED)
    assert found.delivery.give_up_after == timedelta(days=3)
    assert found.routing.file == reading.routing_file == tmp_path / "routing.toml"
    assert reading.destination_names == ("erp", "arkiv")


def test_what_may_be_left_out(tmp_path: Path) -> None:
    """A delivery is tried for five days, unless the file says otherwise."""
    found = read(tmp_path, WHOLE.replace('[delivery]\ngive_up_after = "3d"\n', "")).configuration
    assert found
    assert found.delivery.give_up_after == timedelta(days=5)


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "words"),
    [
        (
            "[delivery]",
            "[delivry]",
            19,
            "delivry",
            "'delivry' is not a known section. Did you mean 'delivery'?",
        ),
        (
            "content =",
            "contnt = 1\ncontent =",
            3,
            "store.contnt",
            "'contnt' is not a known key here. Did you mean 'content'?",
        ),
        ('content = "content"\n', "", 1, "store.content", "is required. Add it"),
        (
            "mark_read",
            "mark_raed",
            9,
            "mailbox.altinn.mark_raed",
            "'mark_raed' is not a known key here. Did you mean 'mark_read'?",
        ),
        (
            '"stored"',
            '"sometimes"',
            9,
            "mailbox.altinn.mark_read",
            "'sometimes' is not a valid value here. Use one of: 'never', 'stored'",
        ),
        ('type = "box"\n', "", 5, "mailbox.altinn.type", "is required. Use one of: box"),
        (
            '"box"',
            '"altin"',
            6,
            "mailbox.altinn.type",
            "'altin' is not a known type of mailbox. Use one of: box",
        ),
        (
            "991825827",
            "991825828",
            7,
            "mailbox.altinn.parties[1]",
            "'991825828' is not a valid organisation number. It has nine digits",
        ),
        (
            '"key.pem"',
            '"kye.pem"',
            8,
            "mailbox.altinn.key_file",
            "kye.pem: no such file or directory. Create the file",
        ),
        (
            '"3d"',
            '"3 days"',
            20,
            "delivery.give_up_after",
            "is not a valid duration. Write a whole number and s, m, h or d",
        ),
        ('"3d"', '"9999999999d"', 20, "delivery.give_up_after", "is too long a duration"),
        (
            "sqlite:///data",
            "postgresql://x/data",
            2,
            "store.database",
            "names no driver. Begin with postgresql+psycopg://",
        ),
        (
            "sqlite:///data",
            "mysql://x/data",
            2,
            "store.database",
            'is not a supported database. Write "sqlite:////var',
        ),
        (
            "sqlite:///data",
            "postgresql+psycopg://x:tRee-7@db/data",
            2,
            "store.database",
            "holds a password, which everybody who reads this file would see. Write it into a file",
        ),
        (
            "sqlite:///data",
            "postgresql+psycopg://x@db/data?password=tRee-7",
            2,
            "store.database",
            "holds a password",
        ),
        (
            "sqlite:///data",
            "sqlite:///var/lib",
            2,
            "store.database",
            "write four slashes: sqlite:////var/lib",
        ),
        ('"sqlite:///data/postmottak.db"', '"sqlite:///"', 2, "store.database", ""),
    ],
)
def test_each_fault_says_where_and_what_to_do(
    tmp_path: Path, old: str, new: str, line: int, key: str, words: str
) -> None:
    """A mistake is told once, with its line, its key, what is wrong and what to write."""
    fault = the_fault(tmp_path, old, new)
    assert fault.file == str(tmp_path / "postmottak.toml")
    assert (fault.line, fault.key) == (line, key)
    assert words.lower() in f"{fault.problem}. {fault.remedy}".lower()


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    """Faults in different sections, of connectors and of secret files come together, and no
    configuration is returned."""
    text = (
        WHOLE.replace("991825827", "991825828")
        .replace('"key.pem"', '"kye.pem"')
        .replace('path = "arkiv"', 'paht = "arkiv"')
        .replace('"3d"', "3")
        .replace('file = "routing.toml"', "")
    )
    reading = read(tmp_path, text)
    assert reading.configuration is None
    assert {fault.key for fault in reading.faults} == {
        "mailbox.altinn.parties[1]",
        "mailbox.altinn.key_file",
        "destination.arkiv.paht",
        "destination.arkiv.path",
        "delivery.give_up_after",
        "routing.file",
    }
    assert reading.destination_names == ("erp", "arkiv")


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("", {"store.database", "store.content", "mailbox", "destination", "routing.file"}),
        (
            WHOLE.replace("[mailbox.altinn]", "[mailbox]"),
            {"mailbox.type", "mailbox.parties", "mailbox.key_file", "mailbox.mark_read"},
        ),
        (
            "store = 1\n" + WHOLE.replace("[store]", "[delivery]").split("\n\n[delivery]\ngive")[0],
            set(),
        ),
    ],
)
def test_sections_that_are_missing_or_no_sections(
    tmp_path: Path, text: str, keys: set[str]
) -> None:
    """What must be there is named, and a value in place of a section is reported like any other
    fault."""
    reading = read(tmp_path, text)
    assert reading.configuration is None
    assert keys <= {fault.key for fault in reading.faults}


def test_a_relative_path_beside_a_folder_of_that_name(tmp_path: Path) -> None:
    """A relative database path in a folder that exists is not reported as a mistake, even if the
    root has a folder of that name."""
    (tmp_path / "var").mkdir()
    found = read(tmp_path, WHOLE.replace("sqlite:///data", "sqlite:///var")).configuration
    assert found
    assert found.store.beside == tmp_path / "var" / "postmottak.db"


def test_an_absolute_database(tmp_path: Path) -> None:
    """Four slashes are an absolute path."""
    found = read(tmp_path, WHOLE.replace("sqlite:///data", "sqlite:////srv/data")).configuration
    assert found
    assert found.store.beside == Path("/srv/data/postmottak.db")


def test_no_secret_in_a_fault(tmp_path: Path) -> None:
    """A configuration that is wrong elsewhere tells nothing of what its secret files hold."""
    reading = read(tmp_path, WHOLE.replace("991825827", "1"))
    assert reading.faults
    assert "KEY" not in "\n".join(map(str, reading.faults)) + repr(reading)


@pytest.mark.parametrize("text", ["[store\n", "a = b\n"])
def test_a_file_that_is_no_toml(tmp_path: Path, text: str) -> None:
    """A file that cannot be parsed is one fault, with its line."""
    with pytest.raises(ConfigurationError, match=r"postmottak\.toml:1: this is not valid TOML"):
        read(tmp_path, text)


def test_canaries_that_could_never_be_sent(tmp_path: Path) -> None:
    """A destination that cannot be sent a canary is a fault where [canary] names it: none would
    ever come, and nothing would say so."""
    text = WHOLE.replace('type = "drop"', 'type = "blind"', 1)
    assert read(tmp_path, f"{text}[canary]\n").faults == ()
    (fault,) = read(tmp_path, f'{text}[canary]\ndestinations = ["erp", "arkiv"]\n').faults
    assert "'erp' can be sent no canary" in fault.problem
    assert "canary.destinations" in fault.key


def test_a_variable_that_nobody_replaces(tmp_path: Path) -> None:
    """`${VARIABLE}` in any value is warned of, with its line, and the configuration stays valid."""
    found = read(tmp_path, WHOLE.replace('path = "arkiv"', 'path = "${DROP}/arkiv"')).configuration
    assert found
    (warning,) = found.warnings
    assert (warning.key, warning.line) == ("destination.arkiv.path", 17)
    assert "${DROP} is not replaced" in warning.problem
    found = read(
        tmp_path, WHOLE.replace('path = "arkiv"', 'path = "$each/{id}/$ {A}"')
    ).configuration
    assert found
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("listen", "warned"),
    [
        ("0.0.0.0:8766", True),
        ("[::]:8766", True),
        ("192.0.2.1:8766", True),
        ("postmottak.example.no:8766", True),
        ("127.0.0.1:8766", False),
        ("[::1]:8766", False),
        ("localhost:8766", False),
        ("unix:monitor.sock", False),
    ],
)
def test_an_endpoint_without_authentication(tmp_path: Path, listen: str, warned: bool) -> None:
    """A monitoring endpoint that other machines can reach is warned of; one on loopback is not."""
    found = read(tmp_path, f'{WHOLE}\n[monitoring]\nlisten = "{listen}"\n').configuration
    assert found
    assert [each.key for each in found.warnings] == (["monitoring.listen"] if warned else [])
    assert all("no authentication" in each.problem for each in found.warnings)


@pytest.mark.parametrize("content", [b"", b"\n", b" \t\r\n", b"\xef\xbb\xbf\n"])
def test_an_empty_secret(tmp_path: Path, content: bytes) -> None:
    """A secret file with nothing in it is a fault, which names it and says what to do."""
    (tmp_path / "empty").write_bytes(content)
    fault = the_fault(tmp_path, '"key.pem"', '"empty"')
    assert f"is empty: {tmp_path / 'empty'}" in fault.problem
    assert fault.remedy == "Write the secret into it"
