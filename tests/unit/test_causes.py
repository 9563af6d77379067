"""Reasons are told apart by their words: what an operator must set right, and what may pass."""

from __future__ import annotations

import errno
import socket
import ssl
import time
from pathlib import Path

import pytest

from connectors.altinn3.problem_details import ProblemDetails, channel_error
from connectors.drops.local import REMEDIES, LocalDrop
from connectors.drops.ownership import Access
from connectors.mail.smtp_server import MailServer, ServerSettings
from connectors.net.diagnostics import explain_error, remedy_for
from connectors.net.known_hosts import KnownHosts
from connectors.net.status import Remedies, judge
from daemon.core import access
from daemon.core.causes import cause_of, incident_of, needs_set_up, split_reason
from daemon.core.errors import TemporaryFailure
from daemon.core.outside_values import is_storable

_REMEDIES = Remedies(
    unauthorized="a", forbidden="b", not_found="c", no_post="d", proxy="e", media_type="f",
    redirect="g",
)  # fmt: skip


def _answers(status: int) -> str:
    return str(judge("the receiver at https://erp.example", status, None, _REMEDIES))


def _network(error: OSError) -> str:
    return f"the receiver cannot be used: {explain_error(error, 'x')}; {remedy_for(error)}"


def _certificate() -> str:
    error = ssl.SSLCertVerificationError()
    error.verify_message = "self-signed certificate"
    return _network(error)


@pytest.mark.parametrize("status", [401, 403, 404, 405, 407, 415])
def test_a_status_that_says_that_something_is_set_up_wrongly(status: int) -> None:
    """What connectors say of such a status is recognised, in their own words."""
    assert needs_set_up(_answers(status))


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_status_that_passes(status: int) -> None:
    """A server that is busy or broken is not set up wrongly."""
    assert not needs_set_up(_answers(status))


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EACCES, errno.EROFS])
def test_a_folder_that_cannot_be_used(tmp_path: Path, number: int) -> None:
    """What is said of rights and missing folders is recognised, for folders and for files."""
    said = [access.why_not_written(tmp_path, number)]
    if number == errno.EACCES:
        said += [access.why_not_read(tmp_path, number), access.why_no_secret(tmp_path, number)]
    for each in said:
        assert each
        assert needs_set_up(f"the drop folder /srv/drop {each}")


@pytest.mark.parametrize(
    ("number", "expected"), [(errno.ENOTDIR, True), (errno.ENOSPC, False), (errno.EDQUOT, False)]
)
def test_a_file_where_a_folder_should_be(number: int, expected: bool) -> None:
    """A file in the place of the drop is set up wrongly; a full disk passes."""
    assert needs_set_up(f"the drop folder /srv/drop {REMEDIES[number]}") is expected


def test_a_folder_on_the_way_that_may_not_be_entered() -> None:
    """What the sandbox hides, and a closed folder above, are set up wrongly."""
    for said in (
        "/srv/drop cannot be reached by postmottak, who may not enter /srv; run: chmod o+x /srv",
        "/home/x is hidden from the service, which may not see /home (ProtectHome); use another",
        "/srv/drop has something in it that postmottak may not change; look with: ls -la",
    ):
        assert needs_set_up(said)


def test_a_real_folder_that_is_not_there(tmp_path: Path) -> None:
    """So is what a real drop raises."""
    with pytest.raises(TemporaryFailure) as raised:
        LocalDrop(tmp_path / "nowhere", Access()).write([("a/b", [b"x"])])
    assert needs_set_up(str(raised.value))


def test_a_connection() -> None:
    """An unknown host and a certificate that is not trusted are set up wrongly; a server that does
    not answer, and a name server that does not, may pass."""
    unknown = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    passing = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    assert needs_set_up(_network(unknown))
    assert needs_set_up(_certificate())
    for error in (passing, TimeoutError(), ConnectionRefusedError(111, "Connection refused")):
        assert not needs_set_up(_network(error))


def test_a_mail_server(tmp_path: Path) -> None:
    """A log-in that is refused, or a host whose key is not known, is set up wrongly."""
    server = MailServer(ServerSettings(host="mail.example"))
    assert needs_set_up(f"{server} refuses the log-in (status 535); correct username")
    assert not needs_set_up(server.unreachable(ConnectionResetError(104, "reset by peer")))
    (tmp_path / "known").write_text("")
    with pytest.raises(ValueError, match="no server's key") as raised:
        KnownHosts(tmp_path / "known", "sftp.example", 22)
    assert needs_set_up(str(raised.value))


def test_a_right_that_is_missing() -> None:
    """What Altinn refuses is set up wrongly; what Altinn cannot do now is not."""
    refused = ProblemDetails(status=403, code=4001, empty=False)
    broken = ProblemDetails(status=500, code=None, empty=False)
    assert needs_set_up(str(channel_error(refused, "991825827", "skatt")))
    assert not needs_set_up(str(channel_error(broken, "991825827", "skatt")))


def test_causes_name_no_person_and_repeat_themselves() -> None:
    """Addresses, names and ids are left out, and the rest stays; repeats are one incident."""
    reason = "the mail server refuses the recipient kari.nordmann@example.no (status 451): later"
    assert (
        cause_of(reason) == "the mail server refuses the recipient an address (status 451): later"
    )
    assert "Kari" not in cause_of("there is no e-mail address for Kari; give her one")
    one = "the drop folder /srv/drop is read-only; mount it"
    assert incident_of("erp", one) == incident_of("erp", one) != incident_of("mail", one)
    assert incident_of("erp", _answers(401)) != incident_of("erp", _answers(404))
    assert incident_of("erp", "no answer in time") == incident_of("erp", "connection refused")
    assert incident_of("erp\udcf8", "Brev\udcf8 is not there")
    assert is_storable(cause_of("Brev\udcf8 is not there"))
    assert split_reason("it is full; make room; soon") == ("it is full", "make room; soon")


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        (
            "the stored file 001-vedtak-kari.pdf cannot be read (Input/output error); check it",
            "the stored file … cannot be read (Input/output error); check it",
        ),
        (
            "the stored file Klage i sak.pdf is not what was received; restore it",
            "the stored file … is not what was received; restore it",
        ),
        (
            "2026_kari/001-klage.pdf in the drop folder /srv/drop may not be read; give the right",
            "something in the drop folder /srv/drop may not be read; give the right",
        ),
        (
            "given up after 5 days: kari/001-klage.pdf in the drop /srv/drop is a folder, and",
            "given up after 5 days: something in the drop /srv/drop is a folder, and",
        ),
        (
            "something else in the drop /srv/drop is named kari-nordmann.pdf; move it away",
            "something in the drop /srv/drop is named as a letter; move it away",
        ),
        (
            ".postmottak in the drop /srv/drop is a symbolic link, and was left unchanged; move it",
            ".postmottak in the drop /srv/drop is a symbolic link, and was left unchanged; move it",
        ),
        (
            "files in the drop folder /srv/drop may not be given to the configured owner",
            "files in the drop folder /srv/drop may not be given to the configured owner",
        ),
        (
            "the archive refuses 001-vedtak-kari.pdf (status 403); ask",
            "the archive refuses an attachment (status 403); ask",
        ),
        (
            "the server refuses it (550-5.7.1) for /srv/100-drop; ask",
            "the server refuses it (550-5.7.1) for /srv/100-drop; ask",
        ),
        ("'Kari N' is not a valid e-mail address; write it", "an address is not a valid e-mail"),
    ],
)
def test_causes_name_no_file(reason: str, told: str) -> None:
    """Names of attachments and of letters, which say what they are about, are left out, so that
    one cause is one incident; fixed names and folders stay."""
    assert cause_of(reason).startswith(told)
    other = reason.replace("kari", "ola").replace("001-", "002-").replace("klage", "svar")
    assert incident_of("erp", reason) == incident_of("erp", other)


def test_a_real_drop_names_no_file(tmp_path: Path) -> None:
    """So it is with what a real drop says of a folder where a letter's file should be."""
    (tmp_path / "kari").mkdir()
    with pytest.raises(TemporaryFailure, match="kari") as raised:
        list(LocalDrop(tmp_path, Access()).read("kari"))
    assert "kari" not in cause_of(str(raised.value))


def test_many_reasons_are_judged_in_a_short_time() -> None:
    """A look at 20,000 deliveries that fail for as many reasons costs far less than a second."""
    reasons = [
        f"the receiver at https://erp.example answers with status 503 to {number:032x}, after "
        f"{number} ms; it is tried again later"
        for number in range(20_000)
    ]
    began = time.process_time()
    assert not any(map(needs_set_up, reasons))
    assert len({incident_of("destination erp", each) for each in reasons}) == 1
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("Permission DENIED by the share", True),
        ("the file may no longer read", True),
        ("the folder may not be written to", True),
        ("the folder may not be late", False),
        ("x cannot be resolved (no such name)", True),
        ("x cannot be resolved (temporary failure)", False),
        ("answers with status 403", True),
        ("answers with status 4030", False),
        ("access was lost", False),
    ],
)
def test_words_alone_are_not_enough(reason: str, expected: bool) -> None:
    """The words by which a pattern is looked for decide nothing, and letter case does not
    matter."""
    assert needs_set_up(reason) is expected


def test_long_words_are_cut_first() -> None:
    """A reason of any length is judged as fast as a short one."""
    began = time.process_time()
    for piece in ("x", "x@", "stored file ", "a ", "8", "cannot be reached by "):
        reason = piece * 100_000
        assert len(cause_of(reason)) <= 400
        needs_set_up(reason)
        incident_of("erp", reason)
    assert time.process_time() - began < 2
