"""A letter as a person reads it: nothing of its words is lost, and nothing of its markup is
left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from connectors.parcel.render import html_letter, plain_letter
from daemon.core.language import WORDS, Phrases
from daemon.core.model import KEPT_STATES, PartState
from daemon.core.ports import Parcel

MakeParcel = Callable[..., Any]
MOMENT = datetime(2026, 4, 1, tzinfo=UTC)


@pytest.mark.parametrize("state", sorted(PartState))
def test_every_state_of_an_attachment_has_words(make_parcel: MakeParcel, state: PartState) -> None:
    """Whatever has happened to an attachment, the letter says so."""
    parcel: Parcel = make_parcel()
    file = parcel.document.files[0].model_copy(update={"state": state})
    parcel = replace(parcel, document=parcel.document.model_copy(update={"files": (file,)}))
    line = next(line for line in plain_letter(parcel).splitlines() if line.startswith("- 001-"))
    assert ("mangler, " in line) == (state not in KEPT_STATES)
    assert ("sjekksum" in line) == (state is PartState.CHECKSUM_FAILED)


def test_a_letter_with_little_in_it(make_parcel: MakeParcel) -> None:
    """A letter without text, attachments and sender's name still reads well."""
    text = plain_letter(
        make_parcel(files={}, body="", sender_name="", sender_org=None, sender_reference="")
    )
    assert "Avsender:      ukjent\n" in text
    assert "Ingen vedlegg." in text
    assert "(Brevet har ingen tekst.)" in text
    assert "Referanse" not in text


def test_a_summary_is_not_said_twice(make_parcel: MakeParcel) -> None:
    """A summary that the text begins with is left out."""
    text = plain_letter(make_parcel(summary="Kort sagt", body="Kort sagt: ja\n"))
    assert text.count("Kort sagt") == 1


def test_control_characters_do_not_reach_the_reader(make_parcel: MakeParcel) -> None:
    """A letter's text cannot command a terminal; its tabs and line breaks stay."""
    text = plain_letter(make_parcel(body="a\x1b[2Jb\x00\r\nc\td"))
    assert "a[2Jb\nc\td" in text


@pytest.mark.parametrize("words", WORDS.values(), ids=list(WORDS))
def test_every_language_has_every_word(make_parcel: MakeParcel, words: Phrases) -> None:
    """No language lacks a word, or a reason why an attachment may be missing."""
    assert set(words.why_missing) == set(PartState) - KEPT_STATES
    text = plain_letter(
        make_parcel(missing=["a.pdf"], due_at=MOMENT, confirmation_needed=True), words, "NB!"
    )
    assert html_letter(make_parcel(), words)
    assert "{" not in text
    assert "\n\nNB!\n\n" in text
