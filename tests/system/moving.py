"""The page "Move to another server", line by line; run by run.py, after first_letter.py."""

from __future__ import annotations

import re
from pathlib import Path

from tests.system import pretend
from tests.system.first_letter import DROP, letters
from tests.system.machine import Machine

KEY = "/var/lib/postmottak/postmottak.db.journal-key"
PAGE = Path(__file__).parents[2] / "docs/moving.md"


def blocks() -> list[list[str]]:
    """The page's commands: on the old server, between the two, on the new one; and for the way
    back, on the new server and on the old one."""
    found = re.findall(r"(?ms)^```sh\n(.*?)^```$", PAGE.read_text(encoding="utf-8"))
    return [block.splitlines() for block in found]


def moves(machine: Machine) -> None:
    """A store that has moved, there and back, is whole, the service's own, and delivers nothing a
    second time."""
    old, between, new, back, again = blocks()
    assert [line.split()[0] for line in between] == ["scp"]
    key = machine.run(f"sha256sum < {KEY}")
    for line in old:
        machine.run(line)
    machine.run("cp -a /var/lib/postmottak /root/old-store")
    _empty(machine)
    machine.run("cp /backup/move.tar.gz /root/")
    for line in new:
        machine.run(f"cd /opt/dist && {line}")
    _goes_on(machine)
    assert machine.run(f"sha256sum < {KEY}; stat -c %a {KEY}").splitlines() == [key, "600"]
    assert [line.split()[0] for line in back[-1:]] == ["scp"]
    for line in back[:-1]:
        machine.run(line)
    machine.run(
        "rm -rf /var/lib/postmottak && mv /root/old-store /var/lib/postmottak && "
        "chown -R postmottak:postmottak /var/lib/postmottak"
    )
    for line in again:
        machine.run(line)
    _goes_on(machine)
    assert machine.run(f"sha256sum < {KEY}") == key


def _goes_on(machine: Machine) -> None:
    """The service runs with every letter, and delivers none of them again."""
    machine.until(lambda: machine.property("ActiveState") == "active", "the service runs")
    assert f"{pretend.LETTERS} letters stored" in machine.run("postmottak status", check=False)
    owners = machine.run("find /var/lib/postmottak -printf '%u:%g\\n' | sort -u")
    assert owners == "postmottak:postmottak"
    machine.run("systemctl restart postmottak && sleep 8")  # a poll, and a round of deliveries
    assert letters(machine) == 0
    assert machine.property("NRestarts") == "0"


def _empty(machine: Machine) -> None:
    """Make a new server of it, on which the service's user gets another number."""
    machine.run("echo y | apt purge postmottak")
    machine.run(
        "rm -rf /var/lib/postmottak /etc/postmottak /etc/systemd/system/postmottak.service.d "
        f"/{DROP}"
    )
    number = machine.run("id -u postmottak")
    machine.run(f"userdel postmottak && useradd --system --uid {number} another")
