"""Recipients: each one's answer counts for that one alone, nobody is served twice, and nobody is
forgotten."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from daemon.core.errors import ContentMissing, PermanentFailure, TemporaryFailure
from daemon.core.parcels import Addressee, Receipt
from daemon.core.ports import Parcel
from tests.connectors.mail_tools import TWO, MakeParcel, attempt, mail_to, parsed

A, B = TWO


def asked(server: Any) -> list[str]:
    """The recipients whom the server was asked about, in order."""
    return [
        re.findall("<(.*)>", command)[0]
        for command in server.commands
        if command.upper().startswith("RCPT")
    ]


def refuse(server: Any, recipient: str, answer: str) -> None:
    server.script[f"RCPT TO:<{recipient}>"] = answer


def test_one_who_must_wait_waits_alone(servers: Any, make_parcel: MakeParcel) -> None:
    """A recipient that is refused for now is the only one that is asked at the next attempt, and
    then all is delivered."""
    server = servers.mail()
    destination = mail_to(server)
    refuse(server, B, "450 greylisted")
    first, parcel = attempt(destination, make_parcel())
    assert isinstance(first, TemporaryFailure)
    assert f"refuses the recipient {B} (status 450)" in str(first)
    assert f"{A} got the letter, and will not get it again" in str(first)
    server.script.clear()
    second, _ = attempt(destination, parcel)
    assert isinstance(second, Receipt)
    assert second.details["recipients"] == [A, B]
    assert asked(server) == [A, B, B]
    assert len({parsed(mail)["Message-ID"] for mail in server.mails}) == 1
    assert parsed(server.mails[1])["To"] == f"{A}, {B}"


def test_one_who_is_refused_for_good_is_named_in_the_end(
    servers: Any, make_parcel: MakeParcel
) -> None:
    """The others get the letter first; then the delivery fails for good, and says who is refused
    and who was served."""
    server = servers.mail()
    destination = mail_to(server)
    refuse(server, A, "550 unknown")
    first, parcel = attempt(destination, make_parcel())
    second, _ = attempt(destination, parcel)
    assert isinstance(first, TemporaryFailure)
    assert isinstance(second, PermanentFailure)
    assert (
        f"refuses the recipient {A} (status 550): correct the address, and retry the delivery"
        in str(second)
    )
    assert f"{B} got the letter" in str(second)
    assert asked(server) == [A, B, A]
    assert len(server.mails) == 1


def test_a_retry_serves_nobody_twice(servers: Any, make_parcel: MakeParcel) -> None:
    """When the refused address has been fixed and an operator retries, the others are left
    alone."""
    server = servers.mail()
    refuse(server, A, "550 unknown")
    parcel = make_parcel()
    for _ in range(2):
        _, parcel = attempt(mail_to(server), parcel)
    result, _ = attempt(mail_to(server, recipients=["lonn@example.no", B]), parcel)
    assert isinstance(result, Receipt)
    assert asked(server) == [A, B, A, "lonn@example.no"]
    assert len(server.mails) == 2


def test_a_retry_without_the_refused_one_is_done(servers: Any, make_parcel: MakeParcel) -> None:
    """When everybody who is left has the letter it is delivered, and no server is asked."""
    server = servers.mail()
    refuse(server, A, "550 unknown")
    _, parcel = attempt(mail_to(server), make_parcel())
    before = len(server.commands)
    result, _ = attempt(mail_to(server, recipients=[B]), parcel)
    assert isinstance(result, Receipt)
    assert len(server.commands) == before


def test_one_for_good_and_one_for_now(servers: Any, make_parcel: MakeParcel) -> None:
    """While there is hope for one, the letter waits, and the other is not asked again until that
    one has it."""
    server = servers.mail()
    destination, parcel = mail_to(server), make_parcel()
    refuse(server, A, "550 unknown")
    refuse(server, B, "450 later")
    for _ in range(2):
        result, parcel = attempt(destination, parcel)
        assert isinstance(result, TemporaryFailure)
        assert A in str(result)
        assert B in str(result)
    assert asked(server) == [A, B, B]
    del server.script[f"RCPT TO:<{B}>"]
    results = []
    for _ in range(2):
        result, parcel = attempt(destination, parcel)
        results.append(type(result))
    assert results == [TemporaryFailure, PermanentFailure]
    assert asked(server) == [A, B, B, B, A]
    assert len(server.mails) == 1


def test_when_all_are_refused_for_good_it_ends_at_once(
    servers: Any, make_parcel: MakeParcel
) -> None:
    """There is nothing to remember, and so nothing to wait for; the letter itself is never said."""
    server = servers.mail()
    server.script["RCPT"] = "550 unknown"
    result, _ = attempt(mail_to(server), make_parcel())
    assert isinstance(result, PermanentFailure)
    assert f"the recipient {A}, {B} (status 550)" in str(result)
    assert "got the letter" not in str(result)
    assert "DATA" not in [command.upper() for command in server.commands]


def test_what_is_remembered_can_be_stored(servers: Any, make_parcel: MakeParcel) -> None:
    """What the next attempt must know is JSON, names no title, and means the same after it was
    stored."""
    server = servers.mail()
    refuse(server, B, "450 later")
    result, parcel = attempt(mail_to(server), make_parcel(title="hemmelig"))
    assert isinstance(result, TemporaryFailure)
    stored = json.dumps(parcel.progress)
    assert "hemmelig" not in stored
    attempt(mail_to(server), replace(parcel, progress=json.loads(stored)))
    assert asked(server) == [A, B, B]


def two_attachments(make_parcel: MakeParcel) -> Parcel:
    return make_parcel(files={"A.pdf": b"%PDF a", "B.pdf": b"%PDF b"})


def test_attachments_that_were_sent_are_not_sent_again(
    servers: Any, make_parcel: MakeParcel
) -> None:
    """With one attachment per mail, a server that breaks down after the first gets only the second
    when it is back."""
    server = servers.mail()
    destination = mail_to(server, one_attachment_per_mail=True)
    server.script["RSET"] = ""
    first, parcel = attempt(destination, two_attachments(make_parcel))
    assert isinstance(first, TemporaryFailure)
    server.script.clear()
    second, _ = attempt(destination, parcel)
    assert isinstance(second, Receipt)
    files = [
        part.get_filename() for mail in server.mails for part in parsed(mail).iter_attachments()
    ]
    assert files == ["001-a.pdf", "002-b.pdf"]


def test_each_attachment_has_its_own_recipients_left(servers: Any, make_parcel: MakeParcel) -> None:
    """A recipient that is refused is not asked about the next attachment, and gets all of them when
    it is accepted."""
    server = servers.mail()
    destination = mail_to(server, one_attachment_per_mail=True)
    refuse(server, B, "450 later")
    _, parcel = attempt(destination, two_attachments(make_parcel))
    assert asked(server) == [A, B, A]
    server.script.clear()
    result, _ = attempt(destination, parcel)
    assert isinstance(result, Receipt)
    assert asked(server) == [A, B, A, B, B]


def test_an_attachment_that_is_not_there_undoes_nothing(
    servers: Any, make_parcel: MakeParcel
) -> None:
    """When the bytes of the second attachment are missing, it is remembered that the first was
    sent."""
    server = servers.mail()
    whole = two_attachments(make_parcel)

    def missing() -> Any:
        raise ContentMissing("the bytes of 002-b.pdf are not where they were put")

    broken = replace(whole, parts=(whole.parts[0], replace(whole.parts[1], open=missing)))
    destination = mail_to(server, one_attachment_per_mail=True)
    first, parcel = attempt(destination, broken)
    assert isinstance(first, TemporaryFailure)
    assert "002-b.pdf" in str(first)
    result, _ = attempt(destination, replace(whole, progress=parcel.progress))
    assert isinstance(result, Receipt)
    assert len(server.mails) == 2


def test_missing_bytes_before_anything_is_sent(servers: Any, make_parcel: MakeParcel) -> None:
    """Where nothing was sent, missing bytes are nothing that the mail server is to blame for."""

    def missing() -> Any:
        raise ContentMissing("not there")

    parcel = make_parcel()
    with pytest.raises(ContentMissing):
        mail_to(servers.mail()).deliver(
            replace(parcel, parts=(replace(parcel.parts[0], open=missing),))
        )


def test_left_out_attachments_are_remembered(servers: Any, make_parcel: MakeParcel) -> None:
    """The receipt says that attachments stayed at home also when the mail without them went in an
    earlier attempt."""
    server = servers.mail()
    destination = mail_to(server, max_attachment_bytes=0)
    refuse(server, B, "450 later")
    _, parcel = attempt(destination, make_parcel())
    result, _ = attempt(mail_to(server, recipients=[A]), parcel)
    assert isinstance(result, Receipt)
    assert result.details["with_attachments"] is False


@pytest.mark.parametrize("command", ["MAIL", "DATA", "."])
def test_a_mail_that_is_refused_for_now_goes_to_the_same_again(
    servers: Any, make_parcel: MakeParcel, command: str
) -> None:
    """When sender or mail is refused nobody is served, and all are asked again."""
    server = servers.mail()
    server.script[command] = "451 later"
    result, parcel = attempt(mail_to(server), make_parcel())
    assert isinstance(result, TemporaryFailure)
    assert f"{A}, {B} (status 451)" in str(result)
    server.script.clear()
    result, _ = attempt(mail_to(server), parcel)
    assert isinstance(result, Receipt)
    assert asked(server)[-2:] == [A, B]


def test_addresses_of_the_routing_table(servers: Any, make_parcel: MakeParcel) -> None:
    """Recipients with an address get the letter beside those of the destination, and everybody gets
    it once."""
    server = servers.mail()
    addressees = (
        Addressee(name="lønn", email="lonn@example.no"),
        Addressee(name="post", email="POST@example.no"),
        Addressee(name="arkiv"),
    )
    parcel = replace(make_parcel(), addressees=addressees)
    assert mail_to(server).deliver(parcel).details["recipients"] == [A, B, "lonn@example.no"]
    assert mail_to(server, recipients=[]).deliver(parcel).details["recipients"] == [
        "lonn@example.no",
        "POST@example.no",
    ]


def test_a_letter_for_nobody_with_an_address_waits(servers: Any, make_parcel: MakeParcel) -> None:
    """Where neither the destination nor the routing table has an address, the letter waits until
    somebody writes one."""
    server = servers.mail()
    with pytest.raises(
        TemporaryFailure, match=r"no e-mail address for regnskap; write email in the routing table"
    ):
        mail_to(server, recipients=[]).deliver(make_parcel())
    assert server.commands == []
    assert "routing table" in next(iter(mail_to(server, recipients=[]).check())).text


@pytest.mark.parametrize(
    "email", ["blåbær@example.no", "a@b@example.no", "a@example.no\r\nRCPT TO:<x@y.no>"]
)
def test_an_address_that_cannot_be_used_waits(
    servers: Any, make_parcel: MakeParcel, email: str
) -> None:
    """An address that the routing table should not have had is never said to a server."""
    server = servers.mail()
    with pytest.raises(TemporaryFailure, match="not a valid e-mail address"):
        mail_to(server).deliver(
            replace(make_parcel(), addressees=(Addressee(name="x", email=email),))
        )
    assert server.commands == []
