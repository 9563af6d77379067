"""Dovecot with letters as mail, for the mail fetchers that the service is compared with.

It runs on loopback, over IMAP and POP3, for one user without a password. Requires root.
"""

from __future__ import annotations

import imaplib
import os
import poplib
import shutil
import subprocess
from base64 import encodebytes
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.loopback import GROUP, USER, free_port, open_to_all, wait_for_port

_CONFIGURATION = """\
protocols = imap pop3
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
ssl = no
disable_plaintext_auth = no
default_login_user = nobody
default_internal_user = nobody
default_internal_group = nogroup
first_valid_uid = 1
mail_location = maildir:{folder}/source
service imap-login {{
  inet_listener imap {{
    address = 127.0.0.1
    port = {imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    address = 127.0.0.1
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
passdb {{
  driver = static
  args = nopassword=y
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={folder}/home
}}
"""
_HEAD = """\
From: etat@example.no\r
To: post@example.no\r
Subject: Vedtak {number}\r
Message-ID: <{number}@example.no>\r
MIME-Version: 1.0\r
Content-Type: application/pdf\r
Content-Transfer-Encoding: base64\r
\r
"""
_PROTOCOLS = "/usr/lib/dovecot"
LOGIN = "post"
"""The user's name and, since any will do, the password."""


@dataclass(frozen=True, kw_only=True)
class Dovecot:
    """A server that is running."""

    pid: int
    imap: int
    """The port."""
    pop3: int


def installed() -> bool:
    """Whether Dovecot is installed, and we are root and can run it as another user.

    Debian packages its protocols separately.
    """
    protocols = all(shutil.which(each, path=_PROTOCOLS) for each in ("imap", "pop3"))
    return os.geteuid() == 0 and protocols and bool(shutil.which("dovecot", path="/usr/sbin"))


@contextmanager
def dovecot(folder: Path, contents: Iterable[bytes]) -> Iterator[Dovecot]:
    """Serve a mail for each of the contents, its only part, until the block ends.

    What the server finds out when a mailbox is first opened, it has found out already.
    """
    _write_mails(folder, contents)
    imap, pop3 = free_port(), free_port()
    configuration = folder / "dovecot.conf"
    configuration.write_text(
        _CONFIGURATION.format(folder=folder, imap=imap, pop3=pop3), encoding="utf-8"
    )
    give_to_nobody(folder)
    command = ["/usr/sbin/dovecot", "-F", "-c", str(configuration)]
    with subprocess.Popen(command) as process:  # noqa: S603  # fixed arguments
        try:
            for port in (imap, pop3):
                wait_for_port(port, "Dovecot")
            _open_once(imap, pop3)
            yield Dovecot(pid=process.pid, imap=imap, pop3=pop3)
        finally:
            process.terminate()


def give_to_nobody(folder: Path) -> None:
    """Let the programs use the folder: none of them keeps mail as root."""
    open_to_all(folder)
    if USER and GROUP:
        # fixed arguments
        subprocess.run(["chown", "-R", f"{USER}:{GROUP}", str(folder)], check=True)  # noqa: S603, S607


def _write_mails(folder: Path, contents: Iterable[bytes]) -> None:
    for part in ("cur", "new", "tmp"):
        (folder / "source" / part).mkdir(parents=True)
    (folder / "home").mkdir()
    for number, content in enumerate(contents):
        mail = _HEAD.format(number=number).encode() + encodebytes(content).replace(b"\n", b"\r\n")
        # seen already, so that no program's turn changes anything for the next
        (folder / "source" / "cur" / f"{number}.letter:2,S").write_bytes(mail)


def _open_once(imap: int, pop3: int) -> None:
    with imaplib.IMAP4("127.0.0.1", imap) as client:
        client.login(LOGIN, LOGIN)
        client.select(readonly=True)
        client.fetch("1:*", "(UID RFC822.SIZE)")
    other = poplib.POP3("127.0.0.1", pop3)
    other.user(LOGIN)
    other.pass_(LOGIN)
    other.list()
    other.uidl()
    other.quit()
