"""The link in a mail opens the page and acknowledges nothing by itself, for nobody else."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from sqlmodel import update

from daemon.core.awaited import AwaitedLetter, LadderStep, Reminder, reminder_id
from daemon.core.signed_links import reminder_of, signed
from daemon.store.users import Actor
from tests.unit.conftest import NOW, stored_letter
from tests.unit.page.conftest import Site
from tests.unit.reminding import awaited

KARI = "kari@example.no"


def linked(site: Site, **changes: object) -> tuple[UUID, str]:
    """A letter of which Kari was told; its id, and the address of the link in her mail."""
    letter = stored_letter("a", title="Vedtak <b>1</b>", sender_name="Skatteetaten", **changes)  # type: ignore[arg-type]
    table = site.store.queries.table_in_force()
    assert table
    letter.decision.routing_version = table.version
    key = letter.message.id
    site.store.letters.add([replace(letter, awaited=awaited(key, NOW))])
    reminder = reminder_id(key, 1, LadderStep.DEPUTY, 0, KARI)
    with site.store.awaited._database.write() as session:
        session.add(
            Reminder(
                id=reminder,
                message_id=key,
                decision=1,
                step=LadderStep.DEPUTY,
                round=0,
                person=KARI,
                address=KARI,
                mail=reminder,
                planned_at=NOW,
            )
        )
    return key, f"/acknowledge/{signed(reminder, site.store.link_keys.get())}"


def answers(site: Site, key: UUID) -> list[str]:
    return [each.by for each in site.store.acknowledgements.of(key)]


def test_opening_the_link_changes_nothing_and_the_button_acknowledges(site: Site) -> None:
    """A mail scanner that follows it acknowledges nothing; a person does, without a log-in."""
    key, link = linked(site)
    nobody = site.visitor()
    shown = nobody.get(link)
    assert shown.status_code == 200
    assert "Vedtak &lt;b&gt;1&lt;/b&gt;" in shown.text
    assert nobody.head(link).status_code == 200
    assert answers(site, key) == []
    assert nobody.post(link).headers["Location"] == link
    assert answers(site, key) == [KARI]
    assert site.woken
    again = nobody.get(link).text
    assert 'data-state="acknowledged"' in again
    assert "<form" not in again.partition("<main")[2].partition("</main")[0]
    nobody.post(link)
    assert answers(site, key) == [KARI]


def test_the_letter_shows_until_when_it_waits_and_who_was_told(site: Site) -> None:
    """Those who may open it see the time, and each person with the time of the mail."""
    key, _ = linked(site)
    address = f"/letters/{key}"
    ola = site.user("ola", "receiver")
    shown = ola.get(address).text
    assert 'data-testid="acknowledge-by" datetime="2026-11-26T' in shown
    assert 'data-testid="reminder"' not in shown
    with site.store.awaited._database.write() as session:
        (reminder,) = site.store.awaited.reminders(key)
        reminder.told_at = NOW
        session.merge(reminder)
    assert 'data-step="deputy">kari@example.no' in ola.get(address).text
    ola.post(f"{address}/acknowledge")
    assert "acknowledge-by" not in ola.get(address).text


def test_a_form_of_another_site_acknowledges_nothing(site: Site) -> None:
    """The browser says where the form was, and that is refused."""
    key, link = linked(site)
    foreign = {"Origin": "https://evil.example"}
    assert site.visitor().post(link, headers=foreign).status_code == 403
    assert answers(site, key) == []


def test_only_the_whole_link_counts(site: Site) -> None:
    """One changed character, another reminder, and anything else lead to nothing."""
    key, link = linked(site)
    changed = link[:-2] + ("A" if link[-2] != "A" else "B") + link[-1]
    made_up = f"/acknowledge/{signed(uuid4(), site.store.link_keys.get())}"
    for address in (changed, made_up, "/acknowledge/x", f"/acknowledge/{'é' * 43}"):
        assert site.visitor().get(address).status_code == 404
        assert site.visitor().post(address).status_code == 404
    assert answers(site, key) == []


def test_who_left_cannot_use_the_link(site: Site) -> None:
    """A user who was disabled since, also by their mail address, is shown nothing."""
    key, link = linked(site)
    site.store.users.add(KARI, NOW, Actor(name="admin"))
    site.store.users.disable(KARI, NOW, Actor(name="admin"))
    assert site.visitor().get(link).status_code == 404
    assert site.visitor().post(link).status_code == 404
    assert answers(site, key) == []


def test_a_letter_that_was_moved_is_not_acknowledged_by_an_old_mail(site: Site) -> None:
    """It waits for others now."""
    key, link = linked(site)
    with site.store.awaited._database.write() as session:
        found = session.get_one(AwaitedLetter, key)
        found.decision = 2
        session.add(found)
    assert site.visitor().post(link).status_code == 409
    assert answers(site, key) == []


@pytest.mark.parametrize("changes", [{"confidential": True}, {"service": "5504/1"}])
def test_a_confidential_letter_takes_a_log_in(site: Site, changes: dict[str, object]) -> None:
    """Neither its title nor its sender is shown or mailed, also of confidential post that its
    sender has not marked, and the link acknowledges nothing."""
    key, link = linked(site, **changes)
    for answer in (site.visitor().get(link), site.visitor().post(link)):
        assert answer.headers["Location"] == f"/letters/{key}"
        assert "Vedtak" not in answer.text
    assert answers(site, key) == []
    with site.store.awaited._database.write() as session:
        session.exec(update(Reminder).values(try_at=NOW))
    (mail,) = site.store.awaited.due_mails(NOW)
    (letter,) = mail.letters
    assert (letter.title, letter.sender, letter.confidential) == ("", "", True)


def test_the_log_has_no_link(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """When the page of a link fails, the log does not have what lets people acknowledge."""

    def fail(*_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(site.store.link_keys, "find", fail)
    assert site.visitor().get("/acknowledge/s3cr3t").status_code == 500
    captured = capsys.readouterr()
    assert "a page failed" in captured.out + captured.err
    assert "s3cr3t" not in captured.out + captured.err


@pytest.mark.parametrize("text", ["", "a" * 42, "a" * 43, "=" * 43, "\x00" * 43])
def test_what_was_not_signed_is_no_link(text: str) -> None:
    """Whatever stands in the address, it is refused and not an error."""
    assert reminder_of(text, b"key") is None
