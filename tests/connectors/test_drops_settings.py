"""The options of a drop: what is accepted, what is refused and why, and the names that templates
make."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from itertools import islice
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors.destinations.filedrop import Settings
from connectors.drops.names import DEFAULT_TEMPLATE, candidates, checked_template
from daemon.core.filenames import is_plain_name
from daemon.core.ports import Parcel
from daemon.core.settings import ConnectorSettings

MakeParcel = Callable[..., Parcel]


def settings(**options: Any) -> Settings:
    return Settings.model_validate({"path": "drop", **options})


def refusal(**options: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        settings(**options)
    return str(caught.value)


def names(template: str, parcel: Parcel) -> list[str]:
    return list(islice(candidates(checked_template(template), parcel), 3))


def test_the_default_name(make_parcel: MakeParcel) -> None:
    """Without a template a letter is named for its time in UTC, service, sender, id and generation,
    and its versions after it."""
    elsewhere = datetime(2026, 3, 12, 10, 46, 5, tzinfo=timezone(timedelta(hours=1)))
    parcel = make_parcel(published_at=elsewhere)
    own = f"20260312-094605_4255-8_974761076_{parcel.document.id.hex[:8]}"
    assert names(DEFAULT_TEMPLATE, parcel) == [own, f"{own}-v2", f"{own}-v3"]
    again = make_parcel(published_at=elsewhere, generation=2, sender_org=None)
    assert names(DEFAULT_TEMPLATE, again)[0] == (
        f"20260312-094605_4255-8_ukjent_{parcel.document.id.hex[:8]}-g2"
    )


def test_a_template_may_say_everything(make_parcel: MakeParcel) -> None:
    """Each placeholder has its value, and a generation that is in the template is not said
    twice."""
    parcel = make_parcel(generation=3, sender_org=None)
    name = names("{party}-{service}.{sender}_{published:%y%j}_{id}_nr{generation}", parcel)[0]
    assert name == f"991825827-4255-8.ukjent_26071_{parcel.document.id.hex[:8]}_nr3"


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{published:%Y}_{sender}", "{id}"),
        ("{id}_{title}", "not a placeholder"),
        ("{id}/{sender}", "not a plain file name"),
        ("../{id}", "not a plain file name"),
        (".{id}", "not a plain file name"),
        ("{id}_{published:%c}", "cannot be used"),
        ("{id}_{published}", "cannot be used"),
        ("{id:>10}", "cannot be used"),
        ("{id}_{id.__class__}", "not a plain file name"),
        ("{id} brev", "not a plain file name"),
        ("{id}" + "x" * 80, "not a plain file name"),
        ("", "{id}"),
    ],
)
def test_a_template_that_cannot_be_is_refused(template: str, words: str) -> None:
    """A template that would make names that are unsafe, too long or the same for two letters is a
    fault that says so."""
    assert words in refusal(name=template)


@given(
    template=st.lists(
        st.sampled_from(
            [
                "{id}",
                "{sender}",
                "{party}",
                "{service}",
                "{generation}",
                "{published:%Y%m%d}",
                "_",
                "-",
                "brev",
                ".",
                "/",
            ]
        )
    ).map("".join),
    service=st.text(),
    sender=st.none() | st.text(),
)
@hypothesis.settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture]
)  # the fixture is a plain function
def test_a_template_that_is_accepted_makes_plain_names(
    make_parcel: MakeParcel, template: str, service: str, sender: str | None
) -> None:
    """Whatever a letter's service and sender are, a template that passes the check makes safe
    names, one after the other different."""
    try:
        checked_template(template)
    except ValueError:
        return
    made = names(template, make_parcel(service=service, sender_org=sender))
    assert len(set(made)) == 3
    assert all(is_plain_name(name) for name in made)


@pytest.mark.parametrize(
    "marker", ["ready", ".", ".a/b", ". klar", ".json", ".err", ".old", ".x" * 20]
)
def test_a_marker_that_cannot_be_is_refused(marker: str) -> None:
    """A marker is a suffix that no other file of the drop has."""
    assert "suffix" in refusal(marker=marker) or "choose another" in refusal(marker=marker)


def test_each_layout_has_its_own_marker() -> None:
    """Flat has a marker unless none is wanted; the others have none unless one is."""
    assert [settings(layout=layout).marker_suffix for layout in ("folder", "flat", "csv")] == [
        "",
        ".ready",
        "",
    ]
    assert settings(layout="flat", marker="none").marker_suffix == ""
    assert (
        settings(layout="flat", marker=".trg").marker_suffix
        == settings(marker=".trg").marker_suffix
        == ".trg"
    )


def test_formats_have_the_document_among_them() -> None:
    """The document cannot be left out, for a letter is recognised by it; nor is anything written
    twice."""
    assert "json" in refusal(formats=["arkivmelding"])
    assert "twice" in refusal(formats=["json", "json"])
    assert "pdf-only" in refusal(layout="pdf-only", formats=["json", "arkivmelding"])


def test_pickup_may_be_awaited() -> None:
    """Empty means that nobody waits."""
    assert settings(await_pickup="").await_pickup is None
    assert settings(await_pickup="24h").await_pickup == timedelta(hours=24)
    assert "not a valid duration" in refusal(await_pickup="soon")


@pytest.mark.parametrize(
    ("module", "options", "words"),
    [
        ("fpdf", {"letter_pdf": True}, "<the wheel>[pdf]"),
        ("fpdf", {"layout": "pdf-only"}, "<the wheel>[pdf]"),
    ],
)
def test_a_library_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, module: str, options: dict[str, Any], words: str
) -> None:
    """An option that needs a library that is not installed is a fault that says how to install
    it."""
    block(monkeypatch, module)
    assert words in refusal(**options)
    settings()


def test_a_server_whose_library_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """So is a destination that cannot be without one."""
    from connectors.destinations import s3, sftp, smb

    (tmp_path / "secret").write_text("x")
    options = {
        "host": "localhost",
        "username": "ola",
        "password_file": "secret",
        "known_hosts": "secret",
        "share": "post",
    }
    wanted: dict[str, tuple[str, type[ConnectorSettings]]] = {
        "sftp": ("asyncssh", sftp.Settings),
        "smb": ("smbclient", smb.Settings),
        "s3": ("obstore", s3.Settings),
    }
    s3_options = {"bucket": "post", "access_key_id": "ola", "secret_key_file": "secret"}
    for extra, (module, declared) in wanted.items():
        block(monkeypatch, module)
        given = (
            s3_options
            if extra == "s3"
            else {key: value for key, value in options.items() if key in declared.model_fields}
        )
        with pytest.raises(ValidationError, match=rf"pip install '<the wheel>\[{extra}\]'"):
            declared.model_validate(given, context={"base": tmp_path})


def block(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    """Make a library look as if it were not installed: Python finds nothing where None stands."""
    monkeypatch.setitem(sys.modules, module, None)
