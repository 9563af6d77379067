"""Well-known mail fetchers, which fetch the same letters from Dovecot into a Maildir."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from email import message_from_bytes
from hashlib import sha256
from pathlib import Path

from benchmarks.dovecot import LOGIN, Dovecot, give_to_nobody

_GETMAIL = """\
[retriever]
type = SimpleIMAPRetriever
server = 127.0.0.1
port = {imap}
username = {login}
password = {login}
timeout = 20
[destination]
type = Maildir
path = {folder}/mail/
[options]
delete = false
read_all = false
verbose = 0
"""
_MBSYNC = """\
FSync yes

IMAPStore far
Host 127.0.0.1
Port {imap}
User {login}
Pass {login}
SSLType None
AuthMechs LOGIN

MaildirStore near
Inbox {folder}/mail

Channel letters
Far :far:
Near :near:
Sync Pull
SyncState {folder}/state
"""
_FDM = """\
set lock-file "{folder}/lock"
account "post" pop3 server "127.0.0.1" port {pop3} user "{login}" pass "{login}" new-only cache "{folder}/seen" keep
action "drop" maildir "{folder}/mail"
match all action "drop"
"""  # noqa: E501  # an account is one line


@dataclass(frozen=True, kw_only=True)
class Fetcher:
    """A mail fetcher. `configuration` and `arguments` have the folder and the ports to fill in."""

    name: str
    program: str
    package: str
    """Debian's."""
    configuration: str
    arguments: Sequence[str]

    @property
    def installed(self) -> bool:
        """Whether it is."""
        return bool(shutil.which(self.program, path="/usr/bin:/usr/local/bin"))

    def prepared(self, folder: Path, server: Dovecot) -> list[str]:
        """Make an empty Maildir and a configuration. Returns the command that fetches into it."""
        for part in ("cur", "new", "tmp"):
            (folder / "mail" / part).mkdir(parents=True)
            (folder / "mail" / part).chmod(0o700)
        (folder / "mail").chmod(0o700)  # fdm insists
        values = {"folder": folder, "imap": server.imap, "pop3": server.pop3, "login": LOGIN}
        configuration = folder / "configuration"
        configuration.write_text(self.configuration.format(**values), encoding="utf-8")
        configuration.chmod(0o600)
        give_to_nobody(folder)
        return [
            shutil.which(self.program, path="/usr/bin:/usr/local/bin") or self.program,
            *(each.format(folder=folder) for each in self.arguments),
        ]


MBSYNC = Fetcher(
    name="mbsync, fsync (C)",
    program="mbsync",
    package="isync",
    configuration=_MBSYNC,
    arguments=("-q", "-c", "{folder}/configuration", "letters"),
)
FDM = Fetcher(
    name="fdm (C)",
    program="fdm",
    package="fdm",
    configuration=_FDM,
    arguments=("-q", "-f", "{folder}/configuration", "fetch"),
)
GETMAIL = Fetcher(
    name="getmail6 (Python)",
    program="getmail",
    package="getmail6",
    configuration=_GETMAIL,
    arguments=("--getmaildir={folder}", "--rcfile=configuration"),
)


def digests(folder: Path) -> Counter[str]:
    """Return the SHA-256 of the content of each mail that was fetched into the folder."""
    found: Counter[str] = Counter()
    for part in ("new", "cur"):
        for mail in (folder / "mail" / part).iterdir():
            content = message_from_bytes(mail.read_bytes()).get_payload(decode=True)
            assert isinstance(content, bytes)
            found[sha256(content).hexdigest()] += 1
    return found
