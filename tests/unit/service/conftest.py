"""What the tests of the whole service share: its connectors, found by name like every other, and its configuration."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.conftest import TABLE_TEXT, MemoryDestination, MemoryMailbox

MAILBOXES: dict[str, MemoryMailbox] = {}
PLACES: dict[str, MemoryDestination] = {}
"""What the connectors of `memory_connectors` connect to, by name."""

_MAILBOX_MODULE = """
from itertools import repeat
from pydantic import Field
from daemon.errors import MailboxUnavailable
from daemon.model import Policy
from daemon.settings import ConnectorSettings, Duration, OrganisationNumber
from tests.unit.conftest import MemoryMailbox
from tests.unit.service.conftest import MAILBOXES

class Settings(ConnectorSettings):
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
from daemon.errors import TemporaryFailure
from daemon.settings import ConnectorSettings
from tests.unit.conftest import MemoryDestination
from tests.unit.service.conftest import PLACES

class Settings(ConnectorSettings):
    away: bool = False

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


@pytest.fixture
def memory_connectors(tmp_path: Path) -> Iterator[Path]:
    """Connectors of type `memory`, found by name as every other; afterwards they are gone."""
    import connectors.destinations
    import connectors.mailboxes

    folder = tmp_path / "connectors"
    for package, text in ((connectors.mailboxes, _MAILBOX_MODULE), (connectors.destinations, _DESTINATION_MODULE)):
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
    """A whole configuration with its routing table; its connectors are those of `memory_connectors`."""
    (tmp_path / "routing.toml").write_text(TABLE_TEXT)
    path = tmp_path / "postmottak.toml"
    path.write_text(CONFIGURATION)
    return path
