"""The rate of getmail6, a well-known mail fetcher, for comparison.

It fetches the same letters from Dovecot on loopback into a Maildir.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from base64 import encodebytes
from contextlib import suppress
from pathlib import Path
from random import Random

_DOVECOT = """\
protocols = imap
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
    port = {port}
  }}
  inet_listener imaps {{
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
_GETMAIL = """\
[retriever]
type = SimpleIMAPRetriever
server = 127.0.0.1
port = {port}
username = post
password = post
[destination]
type = Maildir
path = {folder}/target/
[options]
delete = false
read_all = true
verbose = 0
"""
_PATIENCE = 20.0


def installed() -> bool:
    """Whether both programs are installed, and we are root and can run them as another user."""
    return os.geteuid() == 0 and all(
        shutil.which(name, path="/usr/bin:/usr/sbin") for name in ("getmail", "dovecot")
    )


def seconds(folder: Path, letters: int, size: int) -> float:
    """Return the seconds that getmail takes for letters with an attachment of `size` bytes each.

    Raises CalledProcessError if it fails.
    """
    for name in ("source", "target"):
        for part in ("cur", "new", "tmp"):
            (folder / name / part).mkdir(parents=True)
    (folder / "home").mkdir()
    chance = Random(1)  # noqa: S311  # the same letters each time
    for number in range(letters):
        (folder / "source" / "new" / f"{number}.letter").write_bytes(
            _mail(number, chance.randbytes(size))
        )
    port = _free_port()
    (folder / "dovecot.conf").write_text(
        _DOVECOT.format(folder=folder, port=port), encoding="utf-8"
    )
    (folder / "getmailrc").write_text(_GETMAIL.format(folder=folder, port=port), encoding="utf-8")
    for each in [folder, *folder.parents][: len(folder.parts) - 2]:
        each.chmod(0o755)  # Dovecot reads mail as nobody
    for each in folder.parents[: len(folder.parts) - 2]:
        each.chmod(0o755)  # neither program keeps mail as root
    # fixed arguments
    subprocess.run(["chown", "-R", "nobody:nogroup", str(folder)], check=True)  # noqa: S603, S607
    command = ["/usr/sbin/dovecot", "-F", "-c", str(folder / "dovecot.conf")]
    with subprocess.Popen(command) as dovecot:  # noqa: S603  # fixed arguments
        try:
            _wait_for(port)
            return _fetched(folder, letters)
        finally:
            dovecot.terminate()


def _fetched(folder: Path, letters: int) -> float:
    began = time.perf_counter()
    command = ["/usr/bin/getmail", f"--getmaildir={folder}", "--rcfile=getmailrc"]
    subprocess.run(  # noqa: S603  # fixed arguments
        command,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        user="nobody",
        group="nogroup",
    )
    took = time.perf_counter() - began
    assert len(list((folder / "target" / "new").iterdir())) == letters
    return took


def _mail(number: int, data: bytes) -> bytes:
    head = (
        f"From: etat@example.no\r\nTo: post@example.no\r\nSubject: Vedtak {number}\r\nMessage-ID: "
        f"<{number}@example.no>\r\n"
    )
    kind = (
        "MIME-Version: 1.0\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: "
        "base64\r\n\r\n"
    )
    return (head + kind).encode() + encodebytes(data).replace(b"\n", b"\r\n")


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _wait_for(port: int) -> None:
    ends = time.monotonic() + _PATIENCE
    while time.monotonic() < ends:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise TimeoutError(f"Dovecot does not listen on port {port}")
