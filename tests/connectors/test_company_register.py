"""Names of senders from a company register: only where it is configured, and never in a letter's
way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from connectors.altinn3.settings import Settings
from connectors.mailboxes.altinn3 import Altinn3
from connectors.net.http_client import HttpClient
from connectors.sandbox.http_server import LoopbackServer, Request, Response
from tests.connectors.altinn3_post import QUICK, Post, new_post, read_settings

__all__ = ["new_post"]
SENDER, UNIT = "974761076", "971040238"
NAMES = {f"/api/enheter/{SENDER}": "SKATTEETATEN", f"/api/underenheter/{UNIT}": "KARTVERKET TROMSØ"}


@dataclass
class Register:
    """A register that has two names, and notes what it is asked."""

    url: str = ""
    status: int = 0
    asked: list[str] = field(default_factory=list)

    def answer(self, request: Request) -> Response:
        self.asked.append(request.path)
        name = NAMES.get(request.path)
        status = self.status or (200 if name else 404)
        body = f'{{"navn": "{name}", "organisasjonsnummer": "x"}}'.encode()
        return Response(status=status, body=body, headers=(("Content-Type", "application/json"),))


@pytest.fixture
def register() -> Iterator[Register]:
    found = Register()
    with LoopbackServer(found.answer, port=0) as server:
        found.url = f"{server.url}/api"
        yield found


def mailbox(post: Post, folder: Path, **settings: Any) -> Altinn3:
    found: Settings = read_settings(folder, post.altinn, post.client, **settings)
    return Altinn3("altinn", found, HttpClient(longest_pause=300, timeouts=QUICK))


def sender(post: Post, box: Altinn3, name: str, number: str) -> str:
    """The sender's name of a new letter that says this of its sender."""
    ref = post.publish(message_sender=name, properties={"senderOrgNumber": number})
    return box.fetch(ref).envelope.sender_name


def test_a_missing_name_is_looked_up(post: Post, register: Register, tmp_path: Path) -> None:
    """A sender without a name gets the register's, of an organisation or a unit, with one call for
    each; a name that the letter has stays."""
    box = mailbox(post, tmp_path, company_register=register.url)
    assert sender(post, box, "", SENDER) == "SKATTEETATEN"
    assert sender(post, box, "", UNIT) == "KARTVERKET TROMSØ"
    asked = len(register.asked)
    assert sender(post, box, "", SENDER) == "SKATTEETATEN"
    assert sender(post, box, "Skatt Nord", SENDER) == "Skatt Nord"
    assert len(register.asked) == asked == 3
    assert sender(post, box, "", "889640782") == ""
    box.close()


def test_without_the_key_nobody_is_asked(post: Post, register: Register, tmp_path: Path) -> None:
    """A configuration that names no register makes no call."""
    box = mailbox(post, tmp_path)
    assert sender(post, box, "", SENDER) == ""
    assert register.asked == []
    box.close()


@pytest.mark.parametrize("status", [500, 429, 302])
def test_a_register_that_fails_holds_up_no_letter(
    post: Post, register: Register, tmp_path: Path, status: int
) -> None:
    """Letters come without the name, the register is left alone after some failures, and nothing
    of it is taken for a trouble of Altinn's."""
    register.status = status
    box = mailbox(post, tmp_path, company_register=register.url)
    assert [sender(post, box, "", SENDER) for _ in range(12)] == [""] * 12
    assert len(register.asked) < 12
    box.close()


def test_an_address_that_is_not_safe_is_refused(post: Post, tmp_path: Path) -> None:
    """What is asked says whose letters come, so it is asked encrypted only."""
    with pytest.raises(ValueError, match="https"):
        mailbox(post, tmp_path, company_register="http://register.example.no/api")
