"""The simulated Altinn 2 is not friendlier than the real one: requests by the letter, and reading
that shows."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from connectors.sandbox.altinn2.server import PretendAltinn2
from connectors.sandbox.altinn2.xml import local
from connectors.sandbox.letters import PretendLetter

SPACE = "http://www.altinn.no/services/ServiceEngine/Correspondence/2009/10"
ACTION = f'"{SPACE}/ICorrespondenceExternalBasic/GetCorrespondenceForEndUserSystemsBasicV2"'
PATH = "/ServiceEngineExternal/CorrespondenceExternalBasic.svc"


@pytest.fixture
def altinn() -> Iterator[PretendAltinn2]:
    with PretendAltinn2() as pretend:
        yield pretend


def body(altinn: PretendAltinn2, number: int) -> str:
    credentials = "".join(f"<{name}>{value}</{name}>" for name, value in altinn.credentials.items())
    operation = "GetCorrespondenceForEndUserSystemsBasicV2"
    inside = (
        f"{credentials}<correspondenceID>{number}</correspondenceID><languageID>1044</languageID>"
    )
    text = f'<{operation} xmlns="{SPACE}">{inside}</{operation}>'
    return (
        "<s:Envelope "
        f'xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>{text}</s:Body></s:Envelope>'
    )


def send(
    altinn: PretendAltinn2,
    text: str,
    *,
    path: str = PATH,
    action: str = ACTION,
    media_type: str = "text/xml",
) -> tuple[int, str]:
    headers = {"Content-Type": media_type, "SOAPAction": action}
    request = urllib.request.Request(altinn.url + path, data=text.encode(), headers=headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_opening_a_letter_is_reading_it(altinn: PretendAltinn2) -> None:
    """A letter is Read from the first time that it is opened, and its list row says when that
    was."""
    number = altinn.publish(PretendLetter(party="991825827", title="Tittel & <mer>"))
    status, text = send(altinn, body(altinn, number))
    record = altinn.record(number)
    assert (status, record.status, record.changed_at) == (200, "Read", record.read_at)
    assert "Tittel &amp; &lt;mer&gt;" in text
    send(altinn, body(altinn, number))
    assert altinn.record(number).read_at == record.read_at


@pytest.mark.parametrize(
    ("change", "more"),
    [
        (("correspondenceID>", "CorrespondenceID>"), {}),
        (("<languageID>1044</languageID>", ""), {}),
        (("<userSSN>", "<more>x</more><userSSN>"), {}),
        ((">1044<", ">nb<"), {}),
        ((SPACE, SPACE.replace("2009", "2010")), {}),
        (("schemas.xmlsoap.org/soap/envelope/", "www.w3.org/2003/05/soap-envelope"), {}),
        (("<s:Envelope", "<!DOCTYPE x><s:Envelope"), {}),
        (("</s:Envelope>", ""), {}),
        ((">sandbox-user<", ">wrong<"), {}),
        (("", ""), {"action": '"x"'}),
        (("", ""), {"path": "/ServiceEngineExternal/ReporteeElementListExternalBasic.svc"}),
        (("", ""), {"media_type": "application/soap+xml"}),
    ],
)
def test_what_is_not_by_the_contract_is_refused(
    altinn: PretendAltinn2, change: tuple[str, str], more: dict[str, str]
) -> None:
    """A wrong name, order, namespace, value, action, address, type or password is a fault, and
    reads nothing."""
    number = altinn.publish(PretendLetter(party="991825827"))
    status, text = send(altinn, body(altinn, number).replace(*change), **more)
    assert status >= 400
    assert "Fault>" in text
    assert altinn.record(number).read_at is None


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 3, 12, 9, tzinfo=UTC), "2026-03-12T10:00:00"),
        (datetime(2026, 7, 1, 9, 0, 0, 230000, tzinfo=UTC), "2026-07-01T11:00:00.23"),
    ],
)
def test_times_are_norwegian_and_say_no_zone(moment: datetime, text: str) -> None:
    """In winter and in summer, with as much of a fraction as there is."""
    assert local(moment) == text
