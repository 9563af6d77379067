"""Letters as Altinn tells them, from the plain to the odd; without a network."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.altinn3.envelope import body_type, letter_from, odd_flags
from daemon.core.dpv import CONFIDENTIAL_POST
from daemon.core.model import LetterRef, MessageKind
from daemon.core.outside_values import time_from, time_if_set
from daemon.core.times import in_utc
from tests.connectors.altinn3_overview import NOW, REF, attachment, envelope, overview


def test_a_plain_letter_is_told_whole() -> None:
    """Every field of a letter from eFormidling finds its place; the real sender is not the
    technical one."""
    told = envelope(altinn2CorrespondenceId=4711, isConfirmationNeeded=True)
    assert told.model_dump() == {
        "kind": MessageKind.LETTER,
        "mailbox": "altinn",
        "external_id": REF.external_id,
        "party": "991825827",
        "service": "4255/10",
        "resource": "eformidling-dpv-administrasjon",
        "title": "Vedtak",
        "summary": "Kort sagt",
        "body": "Hei",
        "body_type": "text/markdown",
        "language": "nb",
        "sender_org": "964965226",
        "sender_name": "Eksempel kommune",
        "technical_sender": "991825827",
        "sender_reference": "b2a7c1de",
        "created_at": datetime(2026, 8, 11, 7, 14, 39, 553211, tzinfo=UTC),
        "requested_at": datetime(2026, 8, 11, 7, 14, 38, 900000, tzinfo=UTC),
        "published_at": datetime(2026, 8, 11, 7, 15, 2, 418377, tzinfo=UTC),
        "due_at": datetime(2026, 8, 18, 7, 14, 38, 900000, tzinfo=UTC),
        "confidential": False,
        "confirmation_needed": True,
        "altinn2_id": 4711,
        "properties": {"senderOrgNumber": "964965226"},
        "references": [{"referenceValue": "x", "referenceType": "DialogportenDialogId"}],
        "reply_options": [{"linkURL": "https://svar.example/", "linkText": "Svar"}],
    }


@pytest.mark.parametrize(
    ("fields", "sender"),
    [
        ({"propertyList": {}}, "991825827"),
        ({"propertyList": None, "sender": "0192:974761076"}, "974761076"),
        ({"propertyList": {"senderOrgNumber": "0192:974761076"}}, "974761076"),
        ({"propertyList": {"senderOrgNumber": "unknown"}}, "991825827"),
        ({"propertyList": [], "sender": None}, None),
    ],
)
def test_the_sender_is_the_best_that_is_known(fields: dict[str, Any], sender: str | None) -> None:
    """The real sender if the letter names one in any form, else the technical one, else nobody."""
    assert envelope(**fields).sender_org == sender


def test_nulls_and_strange_fields_do_no_harm() -> None:
    """A letter with nothing but an id and a content is a letter, published now if it tells no time;
    strange fields are passed over."""
    bare = {
        "correspondenceId": REF.external_id,
        "content": {},
        "created": "2026-08-11T07:14:39Z",
        "status": "Teleported",
        "new": [1],
    }
    told = letter_from(bare, REF, NOW)
    assert (told.envelope.title, told.envelope.body, told.parts) == ("", "", ())
    nothing = dict.fromkeys(overview(), None) | {
        "correspondenceId": REF.external_id,
        "content": {"attachments": None},
        "published": "2026-08-11",
    }
    assert letter_from(nothing, REF, NOW).envelope.published_at == NOW


@pytest.mark.parametrize(
    "strange",
    [
        {"content": None},
        {"content": "x"},
        {"correspondenceId": "another"},
        {"correspondenceId": None},
    ],
)
def test_what_is_no_overview_of_the_letter_is_refused(strange: dict[str, Any]) -> None:
    """Nothing is stored of an answer that is of another letter, or has no content."""
    with pytest.raises(ValueError, match=r"^it "):
        letter_from(overview() | strange, REF, NOW)


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        ((), "2026-08-11T07:15:02.418377+00:00"),
        (("published",), "2026-08-11T07:14:38.900000+00:00"),
        (("published", "requestedPublishTime"), "2026-08-11T07:14:39.553211+00:00"),
        (("published", "requestedPublishTime", "created"), "2026-08-11T07:15:02.418377+00:00"),
    ],
)
def test_a_letter_always_has_a_publish_time(missing: tuple[str, ...], expected: str) -> None:
    """Where Altinn does not tell it, the nearest other time stands in."""
    told: dict[str, Any] = dict.fromkeys(missing)
    assert envelope(**told).published_at.isoformat() == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-08-11T07:15:02+00:00", "2026-08-11T07:15:02+00:00"),
        ("2026-08-11T07:15:02Z", "2026-08-11T07:15:02+00:00"),
        ("2026-08-11T07:15:02", "2026-08-11T07:15:02+00:00"),
        ("2026-08-11T07:15:02.4183779+00:00", "2026-08-11T07:15:02.418377+00:00"),
        ("2026-08-11T07:15:02.4183770Z", "2026-08-11T07:15:02.418377+00:00"),
        ("2026-08-11T07:15:02.4", "2026-08-11T07:15:02.400000+00:00"),
        ("2026-08-11T09:15:02+02:00", "2026-08-11T07:15:02+00:00"),
        ("2026-08-11 07:15:02", "2026-08-11T07:15:02+00:00"),
        ("0001-01-01T00:00:00", None),
        ("0001-01-01T00:00:00+01:00", None),
        ("0001-01-01T00:00:00-01:00", None),
        ("9999-12-31T23:59:59.9999999+00:00", None),
        ("9999-12-31T23:59:59-01:00", None),
        ("9999-12-30T23:00:00Z", None),
        ("1970-01-01T00:00:00Z", None),
        ("1970-01-01T01:00:00+01:00", None),
        ("+999999999-12-31T23:59:59.999999999", None),
        ("٢٠٢٦-08-11T07:15:02Z", None),
        ("2026-13-11T07:15:02Z", None),
        ("tomorrow", None),
        ("", None),
        (None, None),
        (1786431600, None),
    ],
)
def test_times_come_in_many_forms(text: object, expected: str | None) -> None:
    """With a zone or without, with any number of digits: always the same aware time in UTC, or
    none."""
    time = time_from(text)
    assert (time.isoformat() if time else None) == expected


@given(
    st.datetimes(
        timezones=st.sampled_from(
            [UTC, timezone(timedelta(hours=2)), timezone(timedelta(hours=-9, minutes=-30))]
        )
    )
)
def test_every_time_that_is_written_is_read(time: datetime) -> None:
    """What any server writes in ISO 8601 comes back as the same moment, but for what stands for
    none."""
    assert time_from(time.isoformat()) == time_if_set(time)
    assert time_if_set(time) in {None, in_utc(time)}
    assert time.year in {1, 2, 1969, 1970, 9998, 9999} or time_if_set(time)


@settings(max_examples=50)  # each example tries every field
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda some: st.lists(some) | st.dictionaries(st.text(), some),
    )
)
def test_no_value_breaks_a_letter(value: Any) -> None:
    """Whatever stands in a field, the letter is read, or refused as no overview; nothing else
    happens."""
    for name in overview():
        try:
            letter_from(overview() | {name: value}, REF, NOW)
        except ValueError as error:
            # which fields may be refused is the promise
            assert name in {"correspondenceId", "content"}, error  # noqa: PT017
    for name in ("attachments", *overview()["content"]):
        letter_from(overview({name: value}), REF, NOW)
    for name in attachment():
        letter_from(overview({"attachments": [attachment(**{name: value})]}), REF, NOW)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            "Hei\n\nSe **vedlagt** vedtak, <https://example.no> eller <post@example.no>.",
            "text/markdown",
        ),
        ("2 < 3 og 5 > 4; a<b, <p@x.no>", "text/markdown"),
        ("En linje<br>og *en* til, <b>viktig</b>", "text/markdown"),
        ("<p>Hei</p>", "text/html"),
        ("<!DOCTYPE html><html lang='no'><body>Hei</body></html>", "text/html"),
        ('# Overskrift\n\n<table class="x"><tr><td>1</td></tr></table>', "text/html"),
        ("<DIV>\nHei</DIV>", "text/html"),
        ("", "text/markdown"),
    ],
)
def test_the_body_is_markdown_until_it_has_blocks_of_html(body: str, expected: str) -> None:
    """Autolinks, comparisons and line breaks are Markdown; paragraphs, tables and whole documents
    are HTML."""
    assert body_type(body) == expected
    assert envelope({"messageBody": body}).body_type == expected


def test_confidential_is_what_the_letter_or_its_service_says() -> None:
    """A letter that says so is confidential under any service, and so is one under 5504/1, or of
    its resource, whatever it says."""
    under = LetterRef(
        mailbox="a",
        party=REF.party,
        service="5504/1",
        resource="eformidling-dpv-taushetsbelagt",
        external_id=REF.external_id,
    )
    assert envelope(isConfidential=True).confidential
    assert envelope(ref=under).confidential
    assert envelope(resourceId=CONFIDENTIAL_POST.resources[0].id.upper()).confidential
    assert not envelope(
        isConfidential=False, resourceId="urn:altinn:resource:eformidling-dpv-administrasjon"
    ).confidential


@pytest.mark.parametrize(
    "flag",
    ["true", "false", "", 1, 0, 10**30, 0.0, float("nan"), [], {}, {"value": False}, "\ud800"],
    ids=ascii,
)
def test_only_a_real_false_is_not_confidential(flag: object) -> None:
    """A flag that is neither true, false nor missing guards the letter, and is named; it confirms
    nothing, which could not be undone."""
    told = overview(isConfidential=flag, isConfirmationNeeded=flag)
    found = letter_from(told, REF, NOW).envelope
    assert (found.confidential, found.confirmation_needed) == (True, False)
    assert odd_flags(told) == ["isConfidential", "isConfirmationNeeded"]


@pytest.mark.parametrize("flag", [True, False, None])
def test_flags_as_they_should_be_are_not_remarked(flag: object) -> None:
    """True, false and nothing are what they say."""
    assert letter_from(overview(isConfidential=flag), REF, NOW).envelope.confidential is (
        flag is True
    )
    assert odd_flags(overview(isConfidential=flag)) == []
