"""The page "Move to another server", line by line; run by run.py, after first_letter.py."""

from __future__ import annotations

import re
from pathlib import Path

from tests.system import pretend
from tests.system.first_letter import DROP, letters
from tests.system.machine import Machine

PAGE = Path(__file__).parents[2] / "docs/moving.md"


def blocks() -> tuple[list[str], list[str], list[str]]:
    """The page's commands: on the old server, between the two, and on the new one."""
    found = re.findall(r"(?ms)^```sh\n(.*?)^```$", PAGE.read_text(encoding="utf-8"))
    old, between, new = (block.splitlines() for block in found)
    return old, between, new


def moves(machine: Machine) -> None:
    """A store that has moved is whole, the service's own, and delivers nothing a second time."""
    old, between, new = blocks()
    assert [line.split()[0] for line in between] == ["scp"]
    for line in old:
        machine.run(line)
    _empty(machine)
    machine.run("cp /backup/move.tar.gz /root/")
    for line in new:
        machine.run(f"cd /opt/dist && {line}")
    machine.until(lambda: machine.property("ActiveState") == "active", "the new service runs")
    assert f"{pretend.LETTERS} letters stored" in machine.run("postmottak status")
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
