"""Who checks: this process, or a child that may do exactly what the service may.

What root can read and write says nothing about the service. So `check`, run as root for the
service's own configuration, starts itself again as the service: through systemd-run with the unit's
user, sandbox and credentials, or, without systemd, as the store's owner. The child prints what it
finds as lines of JSON, which are read here as they come.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from daemon.core.access import user
from daemon.core.ports import Finding
from daemon.core.unit_lines import shell
from daemon.runtime import owner
from daemon.runtime.unit import UNIT, SystemdUnit

SUBJECT = "service"
_LOOK = "look at what is printed above, and at: journalctl -n 20 --no-pager"
_USUAL = Path("/etc/postmottak/postmottak.toml")
_SYSTEMD = {
    200: "its working folder cannot be entered",
    203: "the program of ExecStart= cannot be run",
    217: "the user of User= does not exist",
    226: "a folder that the unit names cannot be mounted",
    243: "a credential cannot be read",
}
"""Exit codes of systemd where it cannot start a command: systemd.exec(5)."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """How the check is run."""

    findings: tuple[Finding, ...] = ()
    """What can be said before it begins."""
    command: tuple[str, ...] = ()
    """The child's command; none if this process checks by itself."""
    user: int | None = None
    """The user that the child is started as; None for this process's own."""
    group: int = 0


def through_systemd(found: SystemdUnit | None, path: Path, arguments: Sequence[str]) -> Way | None:
    """Return how to check the unit's own configuration as the service.

    None for another configuration, without a unit, and for other users than root. `arguments` are
    the child's.
    """
    if os.geteuid() != 0 or not (found and found.program and _is_its_own(path, found)):
        return None
    return Way(findings=tuple(_unit_findings(found)), command=tuple(found.command(arguments)))


def without_systemd(found: SystemdUnit | None, database: Path, arguments: Sequence[str]) -> Way:
    """Return how to check any other configuration: as the owner of its store, or as this user."""
    if os.geteuid() != 0:
        return Way(findings=tuple(_other_user(found)))
    at = owner.nearest_folder(database.parent).stat()
    if at.st_uid == 0:
        return Way()
    reason = (
        f"this is not the configuration of {UNIT}" if found else f"{UNIT} is not installed here"
    )
    text = (
        f"checked as {owner.user_name(at.st_uid)}, the owner of the store; a unit's sandbox and "
        f"credentials were not tried, because {reason}"
    )
    return Way(
        findings=(Finding(subject=SUBJECT, ok=True, text=text, warning=True),),
        command=tuple(_ourselves(arguments)),
        user=at.st_uid,
        group=at.st_gid,
    )


def _is_its_own(path: Path, found: SystemdUnit) -> bool:
    """Whether it is the configuration with which the unit runs the service."""
    words = found.program
    given = [Path(value) for option, value in pairwise(words) if option in {"-c", "--config"}]
    named = given[-1] if given else _USUAL  # an interpreter before it may have a -c as well
    return path.absolute() == named or (path.exists() and named.exists() and path.samefile(named))


def _other_user(found: SystemdUnit | None) -> Iterator[Finding]:
    if not found or "CREDENTIALS_DIRECTORY" in os.environ:
        return
    text = (
        f"checked as {user()}, without the sandbox and the credentials of {UNIT}, which runs as "
        f"{found.user}; run this as root"
    )
    yield Finding(subject=SUBJECT, ok=True, text=text, warning=True)


def _unit_findings(found: SystemdUnit) -> Iterator[Finding]:
    for name, path in found.credentials.items():
        if not path.exists():
            yield _fault(
                f"LoadCredential={name}:{path} names a file that does not exist, so the service "
                "cannot start; create it, or take the line out with `systemctl edit postmottak`"
            )
    for path in found.writable:
        if not path.exists():
            yield _fault(
                f"ReadWritePaths={path} names a folder that does not exist, so the service cannot "
                f"start; create it: install -d -o {found.user} -g {found.user} {shell(path)}"
            )
    if found.stale:
        yield _fault(
            "the unit was edited, and systemd has not read it again; run: systemctl daemon-reload "
            "&& systemctl restart postmottak"
        )
    text = f"checked as {found.user}, with the sandbox and the credentials of {UNIT}"
    yield Finding(subject=SUBJECT, ok=True, text=text)


def _fault(text: str) -> Finding:
    return Finding(subject=SUBJECT, ok=False, text=text)


def _ourselves(arguments: Sequence[str]) -> list[str]:
    """Return the command that starts this program again, from the same place."""
    program = f"import sys; sys.path[:] = {sys.path!r}; import postmottak; postmottak.main()"
    return [sys.executable, "-I", "-c", program, *arguments]


def lines_of(way: Way) -> Iterator[str]:
    """Run the child, and yield its lines as they come; its log goes where this process's does.

    Raises ChildFailed after the last of them.
    """
    groups = None if way.user is None else owner.groups_of(way.user, way.group)
    if way.user is not None:
        _refuse_closed_program(way.user, groups or [way.group])
    try:
        child = subprocess.Popen(  # noqa: S603  # our own words
            way.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",
            user=way.user,
            group=groups[0] if groups else None,
            extra_groups=groups,
        )
    except OSError as error:
        reason = f"{way.command[0]}: {(error.strerror or '').lower()}"
        remedy = "install this program where the service's user may run it"
        if way.user is not None and error.errno == errno.EPERM:  # EACCES is the program's
            remedy = owner.how_to_become(way.user, way.group)
        raise ChildFailed(reason, remedy) from error
    with child:
        assert child.stdout
        yield from child.stdout
    if child.returncode:
        ended = f"it ended with code {child.returncode}"
        raise ChildFailed(_SYSTEMD.get(child.returncode, ended))


def _refuse_closed_program(account: int, groups: Sequence[int]) -> None:
    """Raise ChildFailed, which names the folder, if the user may not read this program."""
    for path in (Path(sys.executable).resolve(), Path(__file__).resolve()):
        for each in (*reversed(path.parents), path):
            if not _may(account, groups, "-x" if each != path else "-r", each):
                name = owner.user_name(account)
                what = "read" if each == path else "enter"
                raise ChildFailed(
                    f"{name}, who owns the store, may not {what} {each}, where this program lies "
                    f"({path})",
                    f"install it where {name} may read it: the Debian package, or a virtual "
                    "environment below /opt",
                )


def _may(account: int, groups: Sequence[int], how: str, path: Path) -> bool:
    """Ask the system as that user; True if it cannot be asked, for then the child says why."""
    try:
        asked = subprocess.run(  # noqa: S603  # our own words
            ["/usr/bin/test", how, str(path)],
            check=False,
            user=account,
            group=groups[0],
            extra_groups=groups,
        )
    except OSError:
        return True
    return asked.returncode == 0


class ChildFailed(Exception):
    """The child could not check anything, or not all of it."""

    def __init__(self, reason: str, remedy: str = _LOOK) -> None:
        super().__init__(f"the check could not be run as the service: {reason}; {remedy}")
