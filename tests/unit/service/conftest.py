"""What the tests of the whole service share: its connectors, found by name like every other, its
configuration, and its commands."""

from __future__ import annotations

import json
import re
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from daemon import cli
from daemon.core.errors import MailboxUnavailable, TemporaryFailure
from daemon.service import app, stack
from daemon.service.app import App
from tests.unit.conftest import TABLE_TEXT
from tests.unit.memory import MemoryDestination, MemoryMailbox

MAILBOXES: dict[str, MemoryMailbox] = {}
PLACES: dict[str, MemoryDestination] = {}
"""What the connectors of `memory_connectors` connect to, by name."""

_MAILBOX_MODULE = """
from itertools import repeat
from pydantic import Field
from daemon.core.errors import MailboxUnavailable
from daemon.core.model import Policy
from daemon.core.settings import MailboxSettings, Duration, OrganisationNumber
from tests.unit.memory import MemoryMailbox
from tests.unit.service.conftest import MAILBOXES

class Settings(MailboxSettings):
    parties: tuple[OrganisationNumber, ...] = Field(min_length=1)
    poll_every: Duration
    mark_read: Policy = Policy.NEVER
    letters: int = 0
    away: bool = False

def connect(name, settings):
    box = MAILBOXES.setdefault(name, MemoryMailbox(name))
    if settings.away:
        box.fails["list", "skatt"] = repeat(MailboxUnavailable("nobody answers"))
    for number in range(settings.letters):
        box.publish(f"letter-{number}", b"pdf")
    return box
"""
_DESTINATION_MODULE = """
from itertools import repeat
from daemon.core.errors import TemporaryFailure
from daemon.core.settings import DestinationSettings
from tests.unit.memory import MemoryDestination
from tests.unit.service.conftest import PLACES

class Settings(DestinationSettings):
    away: bool = False
    edition: int = 0

def connect(name, settings):
    place = PLACES.setdefault(name, MemoryDestination(name))
    if settings.away:
        place.fails = repeat(TemporaryFailure("nobody is at home"))
    return place
"""
CONFIGURATION = """\
[store]
database = "sqlite:///data/postmottak.db"
content = "content"

[mailbox.altinn]
type = "memory"
parties = ["991825827"]
poll_every = "1h"

[destination.erp]
type = "memory"

[destination.mail]
type = "memory"

[routing]
file = "routing.toml"
"""
AWAY = MailboxUnavailable("Altinn does not answer")
NOT_NOW = TemporaryFailure("nobody is at home")
DATE = re.compile(r"\d{4}-\d\d-\d\d")


@pytest.fixture
def memory_connectors(tmp_path: Path) -> Iterator[Path]:
    """Connectors of type `memory`, found by name as every other; afterwards they are gone."""
    import connectors.destinations
    import connectors.mailboxes

    folder = tmp_path / "connectors"
    for package, text in (
        (connectors.mailboxes, _MAILBOX_MODULE),
        (connectors.destinations, _DESTINATION_MODULE),
    ):
        place = folder / package.__name__.rpartition(".")[2]
        place.mkdir(parents=True)
        (place / "memory.py").write_text(text)
        package.__path__.append(str(place))
    yield folder
    for package in (connectors.mailboxes, connectors.destinations):
        package.__path__.pop()
        sys.modules.pop(f"{package.__name__}.memory", None)
        vars(package).pop("memory", None)
    MAILBOXES.clear()
    PLACES.clear()


@pytest.fixture
def configuration_file(tmp_path: Path) -> Path:
    """A whole configuration with its routing table; its connectors are those of
    `memory_connectors`."""
    (tmp_path / "routing.toml").write_text(TABLE_TEXT)
    path = tmp_path / "postmottak.toml"
    path.write_text(CONFIGURATION)
    return path


@pytest.fixture
def mailbox(memory_connectors: Path) -> MemoryMailbox:
    """The mailbox of the configuration, with one letter."""
    MAILBOXES["altinn"] = box = MemoryMailbox()
    box.publish("a", b"a file", title="Skatt")
    return box


@pytest.fixture
def places(memory_connectors: Path) -> dict[str, MemoryDestination]:
    """The destinations of the configuration."""
    PLACES.update(erp=MemoryDestination("erp"), mail=MemoryDestination("mail"))
    return PLACES


@pytest.fixture
def parts(mailbox: MemoryMailbox, places: object, configuration_file: Path) -> Iterator[App]:
    """The app, opened."""
    with app.open_app(stack.load(configuration_file)) as parts:
        yield parts


@dataclass
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The document on stdout, which has nothing else."""
        return json.loads(self.out)


Command = Callable[..., Ended]


@pytest.fixture
def command(
    memory_connectors: object,
    configuration_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Command]:
    """A command with the memory connectors, in this process; without signal handlers left
    behind."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["postmottak", "-c", str(configuration_file), *arguments])
        capsys.readouterr()
        try:
            cli.main()
        except SystemExit as ended:
            return Ended(int(ended.code or 0), *capsys.readouterr())
        return Ended(0, *capsys.readouterr())

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def configure(configuration_file: Path) -> Callable[[str, str], None]:
    """Changes the configuration."""

    def replace(old: str, new: str) -> None:
        assert old in configuration_file.read_text()
        configuration_file.write_text(configuration_file.read_text().replace(old, new, 1))

    return replace


def with_letters(configure: Callable[[str, str], None], count: int = 2) -> None:
    """Letters in the mailbox."""
    configure('poll_every = "1h"', f'poll_every = "1h"\nletters = {count}')
