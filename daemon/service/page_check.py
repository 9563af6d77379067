"""What `check` says about `[web]`: whether the page could start as it is configured here."""

from __future__ import annotations

import os
import pwd
import ssl
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from daemon.config.listen import Address
from daemon.config.store import StoreSettings
from daemon.config.web import WebSettings
from daemon.core.access import why_not_read
from daemon.core.ports import Finding
from daemon.core.settings import secret_text
from daemon.store.publishers import publishers
from daemon.web.listening import check_listening

_LIBRARIES = ("argon2", "authlib", "icalendar", "jinja2", "python_multipart", "tomlkit")
_WHAT = "[web]"
_PUBLISHING = f"{_WHAT} publishing"
_UNIT_WRITES = Path("/etc/postmottak/routing")  # ReadWritePaths= of the page's unit
_MADE_AT_START = Path("/run/postmottak-web")  # RuntimeDirectory= of the page's unit


def check_page(settings: WebSettings) -> Iterator[Finding]:
    """Look at everything that the page needs before it can listen."""
    yield _libraries()
    yield _listening(settings.listen)
    if settings.tls_cert_file and settings.tls_key_file:
        yield _certificate(settings.tls_cert_file, settings.tls_key_file)
    if settings.oidc and "oidc" in settings.login:
        yield _secret("[web.oidc] client_secret_file", settings.oidc.client_secret_file)
    if settings.proxy and "proxy" in settings.login:
        yield _secret("[web.proxy] secret_file", settings.proxy.secret_file)


def check_publishing(table: Path) -> Finding:
    """Say whether this user, as which the page runs, can publish the routing table.

    That it cannot is a warning: an organisation may want to keep the table with its own tools.
    """
    target = table.resolve()
    try:
        why = _why_not_replaced(target)
    except OSError as error:
        why = (error.strerror or "it cannot be looked at").lower()
    if not why:
        return Finding(subject=_PUBLISHING, ok=True, text=f"{table} can be published from the page")
    remedy = (
        f"move it to {_UNIT_WRITES}, name it there in [routing] file, and give it to this user: "
        f"chown {_user()}: {_UNIT_WRITES / target.name}"
        if target.parent == _UNIT_WRITES.parent
        else f"let the file and its folder belong to this user: chown {_user()}: "
        f"{target.parent} {target}; the page's unit needs ReadWritePaths={target.parent}"
    )
    text = f"{table} cannot be published from the page, because {why}. If it is to be, {remedy}"
    return Finding(subject=_PUBLISHING, ok=True, warning=True, text=text)


def check_approvals(settings: StoreSettings) -> Iterator[Finding]:
    """Warn if fewer than two users may publish: then nothing could be approved."""
    found = publishers(settings)
    if found is None or len(found) > 1:
        return
    who = f"only {found[0]} may publish" if found else "no user may publish"
    text = (
        f"{who}, so nobody could approve a routing table of the page. Give a second user the role "
        "router: `postmottak web users grant NAME --role router`"
    )
    yield Finding(subject="[routing] approvals", ok=True, warning=True, text=text)


def _why_not_replaced(target: Path) -> str:
    """Return why the file cannot be replaced with the same owner; empty if it can. Raises OSError.

    The service's sandbox, in which `check` runs as root, does not let through what the unit of the
    page does: there, owners and modes decide.
    """
    found, user, folder = target.stat(), os.geteuid(), target.parent
    is_closed = bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
    if is_closed and not folder.is_relative_to(_UNIT_WRITES):
        return f"{folder} is read only here"
    if user not in {0, found.st_uid}:
        return f"it does not belong to the user {_user()}, as which the page runs"
    if not found.st_mode & 0o200:
        return "it is read-only"
    above = folder.stat()
    may_write = above.st_uid == user if is_closed else os.access(folder, os.W_OK | os.X_OK)
    return "" if may_write else f"the user {_user()} may not write in {folder}"


def _user() -> str:
    user = os.geteuid()
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def missing_libraries() -> list[str]:
    """Return which of the page's libraries are not installed; they are the extra web."""
    return [each for each in _LIBRARIES if find_spec(each) is None]


def _libraries() -> Finding:
    missing = missing_libraries()
    if not missing:
        return Finding(subject=_WHAT, ok=True, text="the page's libraries are installed")
    text = (
        "The page needs the extra postmottak[web], and these libraries of it are missing: "
        f"{', '.join(missing)}; install the wheel with its extra: pip install '<the wheel>[web]'"
    )
    return Finding(subject=_WHAT, ok=False, text=text)


def _listening(address: Address) -> Finding:
    if address.path and address.path.parent == _MADE_AT_START and not _MADE_AT_START.exists():
        text = f"{_MADE_AT_START} does not exist; the unit postmottak-web makes it when it starts"
        return Finding(subject=_WHAT, ok=True, text=text)
    return check_listening(_WHAT, address, who="the page")


def _certificate(certificate: Path, key: Path) -> Finding:
    """Check that both can be read, and belong together."""
    subject = f"{_WHAT} tls_cert_file"
    for path in (certificate, key):
        try:
            path.read_bytes()
        except OSError as error:
            return Finding(subject=subject, ok=False, text=_unreadable(path, error))
    try:
        # without a password, OpenSSL asks the terminal for one
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:
        fault = (
            "do not belong together; name the key of this certificate"
            if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH"
            else "cannot be used; both must be PEM, and the key without a passphrase"
        )
        return Finding(subject=subject, ok=False, text=f"{certificate} and {key} {fault}")
    return Finding(subject=subject, ok=True, text=f"{certificate} and its key can be used")


def _secret(subject: str, path: Path) -> Finding:
    try:
        secret_text(path.read_bytes(), path)
    except OSError as error:
        return Finding(subject=subject, ok=False, text=_unreadable(path, error))
    except ValueError as error:
        return Finding(subject=subject, ok=False, text=str(error))
    return Finding(subject=subject, ok=True, text=f"{path} can be read")


def _unreadable(path: Path, error: OSError) -> str:
    if reason := why_not_read(path, error.errno or 0):
        return f"cannot be read: {path} {reason}"
    reason = (error.strerror or "it cannot be opened").lower()
    return f"cannot be read: {path}: {reason}; create the file, or name another one"
