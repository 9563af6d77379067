"""The evidence of a letter, as users of the page get it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from daemon.maintenance.evidence.verifying import verify_evidence
from daemon.store.users import RoleGrant
from tests.unit.page.conftest import Site
from tests.unit.page.test_letters_page import keep

BUTTON = "/evidence"


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where files lie while they are sent."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_who_may_open_it_and_read_the_log(site: Site, temporary: Path, tmp_path: Path) -> None:
    """The file is a valid evidence with the user's name, the export is an event, and nothing of it
    is left on the disk."""
    letter = keep(site, "a")
    kari = site.user("kari", "reader", "admin")
    assert BUTTON in kari.get(f"/letters/{letter}").text
    sent = kari.post(f"/letters/{letter}/evidence")
    assert (sent.status_code, sent.headers["Content-Type"]) == (200, "application/zip")
    name = f'attachment; filename="evidence-{letter[:8]}.zip"'
    assert sent.headers["Content-Disposition"] == name
    path = tmp_path / "sent.zip"
    path.write_bytes(sent.content)
    found = verify_evidence(path)
    assert found.findings == []
    assert found.contents
    assert found.contents.evidence.made_by == "kari"
    assert site.events()[0] == ("evidence-exported", "kari", True)
    assert list(temporary.iterdir()) == []
    assert "bevis eksportert av: kari" in kari.get(f"/letters/{letter}").text


@pytest.mark.parametrize(
    ("grants", "status"),
    [
        (("reader",), 403),
        (("receiver", "operator"), 403),
        (("reader", RoleGrant(role="admin", recipients=("regnskap",))), 403),
        (("admin",), 404),
        ((RoleGrant(role="reader", recipients=("eiendom",)), "admin"), 404),
    ],
)
def test_who_may_not(site: Site, grants: tuple[str | RoleGrant, ...], status: int) -> None:
    """Others get nothing and see no button; where they know the letter, the refusal is an event."""
    letter = keep(site, "a")
    ola = site.user("ola", *grants)
    assert ola.post(f"/letters/{letter}/evidence").status_code == status
    assert BUTTON not in ola.get(f"/letters/{letter}").text
    kinds = [kind for kind, user, _ in site.events() if user == "ola"]
    assert "evidence-exported" not in kinds
    if status == 403:
        assert ("refused", "ola", False) in site.events()


def test_a_confidential_letter(site: Site, tmp_path: Path) -> None:
    """It needs the right to open the letter, and that the user has opened it for a reason, which
    the event has too."""
    letter = keep(site, "s", service="5504/1", confidential=True)
    admin = site.user("admin", "reader", "admin")
    assert admin.post(f"/letters/{letter}/evidence").status_code == 403
    kari = site.user("kari", "reader", "admin", "confidential")
    asked = kari.post(f"/letters/{letter}/evidence")
    assert (asked.status_code, "Taushetsbelagt brev" in asked.text) == (200, True)
    assert "evidence-exported" not in [kind for kind, _, _ in site.events()]
    kari.post(f"/letters/{letter}/open", data={"reason": "klage"})
    sent = kari.post(f"/letters/{letter}/evidence")
    assert sent.headers["Content-Type"] == "application/zip"
    (event,) = site.store.events.page(kind="evidence-exported")
    assert (event.user, event.details) == ("kari", {"reason": "klage"})
    site.clock.advance(hours=9)
    again = site.visitor("kari").post(f"/letters/{letter}/evidence")
    assert again.headers["Content-Type"].startswith("text/html")


def test_an_attachment_that_is_missing(site: Site, temporary: Path) -> None:
    """Without the bytes there is no file, and no half one is left."""
    letter = keep(site, "a")
    for file in (site.folder / "content").rglob("*"):
        if file.is_file():
            file.unlink()
    kari = site.user("kari", "reader", "admin")
    assert kari.post(f"/letters/{letter}/evidence").status_code == 410
    assert list(temporary.iterdir()) == []
