"""The page about operation: all that `status` says, with links instead of commands alone."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from typer.testing import CliRunner

from daemon.cli import app as command_line
from daemon.core.bookkeeping import Alert, Bookmark
from daemon.core.model import DeliveryState, LetterRef, PartState, SightingState
from daemon.monitoring.problem import Problem
from daemon.monitoring.running import NOT_RUNNING, UNSEEN
from daemon.page.app import application
from daemon.page.assets import Assets
from daemon.page.problem_links import shown
from daemon.page.pulse import Pulse
from daemon.page.wording import PROBLEMS
from daemon.store.in_use import POLL, SERVICE
from daemon.store.lock import InstanceLock
from daemon.store.users import RoleGrant
from tests.unit.conftest import NOW, TABLE, stored_letter
from tests.unit.page.conftest import Site

ROOT = Path(__file__).parents[3]
PARTY, OTHER = "974761076", "910075918"
SECRET = "whsec_" + "A" * 44


def _troubles(text: str) -> list[tuple[str, str]]:
    return re.findall(r'data-testid="trouble" data-kind="([^"]*)" data-about="([^"]*)"', text)


def _words(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def _with_problems(site: Site) -> None:
    """A dead delivery, a channel without the right, one that fails, and an alert."""
    store = site.store
    store.letters.note_table(TABLE.version, TABLE.text, NOW)
    letter = stored_letter("a")
    letter.deliveries[0].state = DeliveryState.DEAD
    store.letters.add([letter])
    for party, refused, reason in (
        (PARTY, True, "Altinn may not read 4255/8; grant the right"),
        (OTHER, False, "HTTP 503; see `postmottak check`"),
    ):
        failing = Bookmark(mailbox="altinn", party=party, service="4255/8", resource="skatt")
        failing.succeeded_at, failing.failed_at = NOW - timedelta(hours=1), NOW
        failing.failing_since = NOW - timedelta(minutes=50)
        failing.begun, failing.refused, failing.last_error = True, refused, reason
        store.bookmarks.save([failing])
    alert = Alert(key="dead erp", kind="dead", critical=True, text="Not delivered", began_at=NOW)
    store.alerts.note([alert], NOW)


def test_problems_are_those_of_status(site: Site) -> None:
    """The page names the same problems as `postmottak status --json`."""
    site.clock.now = datetime.now(UTC)
    _with_problems(site)
    text = site.user("kari", "operator").get("/service").text
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    site.folder.joinpath("key.pem").write_bytes(pem)
    config = str(site.page.configuration.path)
    result = CliRunner().invoke(command_line, ["--config", config, "status", "--json"])
    status = json.loads(result.stdout)
    expected = status["troubles"] + status["passing"]
    assert {each["kind"] for each in expected} >= {"dead", "silence"}
    assert _troubles(text) == [(each["kind"], each["about"]) for each in expected]
    assert f'data-verdict="{status["health"]["verdict"]}"' in text
    assert f'data-version="{status["routing_version"]}"' in text


def test_each_problem_is_a_link_and_no_command_stands_in_back_quotes(site: Site) -> None:
    """A person without a shell gets to where it is seen."""
    _with_problems(site)
    kari = site.user("kari", "operator")
    text = kari.get("/service").text
    items = re.findall(r'<li data-testid="trouble".*?</li>', text, re.DOTALL)
    assert items
    for item in items:
        (address,) = re.findall(r'<a class="ds-link" href="([^"]+)"', item)
        assert "`" not in _words(item)
        path, _, anchor = unescape(address).partition("#")
        page = kari.get(path)
        assert page.status_code == 200
        assert not anchor or f'id="{anchor}"' in page.text


def test_mailboxes_say_what_cannot_be_read_and_why(site: Site) -> None:
    """A right that is missing and a failure are told apart, each with its reason in English."""
    _with_problems(site)
    text = site.user("kari", "operator").get("/service").text
    rows = re.findall(r'<tr data-testid="channel".*?</tr>', text, re.DOTALL)
    assert [re.findall(r'data-party="(\d+)".*?data-refused="(\w+)"', each)[0] for each in rows] == [
        (PARTY, "true"),
        (OTHER, "false"),
    ]
    assert "rettigheten mangler" in rows[0]
    assert '<span lang="en">HTTP 503; see <code>postmottak check</code></span>' in rows[1]


def test_what_was_only_presumed_is_no_alarm(site: Site) -> None:
    """A resource that was guessed and is refused is told apart from a right that is missing."""
    guessed = Bookmark(mailbox="altinn", party=PARTY, service="4255/1", resource="guess")
    guessed.refused, guessed.failed_at, guessed.last_error = True, NOW, "may not read"
    read = Bookmark(mailbox="altinn", party=PARTY, service="4255/8", resource="skatt")
    read.begun, read.succeeded_at = True, NOW
    site.store.bookmarks.save([guessed, read])
    text = site.user("kari", "operator").get("/service").text
    assert "bare antatt, kan ikke leses" in text
    assert "rettigheten mangler" not in text
    assert "Rettigheten mangler" not in text


def test_an_operator_of_one_organisation_sees_its_channels_only(site: Site) -> None:
    """Numbers of others are not in the list of channels."""
    _with_problems(site)
    for name, party in (("mine", PARTY), ("foreign", OTHER)):
        letter = stored_letter(name, party=party)
        letter.attachments[0].state = PartState.UNAVAILABLE
        site.store.letters.add([letter])
        ref = LetterRef(
            mailbox="altinn", party=party, service="4255/8", resource="x", external_id=f"x-{name}"
        )
        site.store.letters.record_skipped(ref, SightingState.FAILING, NOW, "HTTP 500")
    ids = {name: site.store.queries.message(name).id for name in ("mine", "foreign")}
    ola = site.user("ola", RoleGrant(role="operator", parties=(PARTY,)))
    text = ola.get("/service").text
    assert re.findall(r'data-testid="channel" data-party="(\d+)"', text) == [PARTY]
    letters = text[text.index('id="letters"') : text.index('id="mailboxes"')]
    assert re.findall(r"<code>(x-\w+)</code>", letters) == ["x-mine"]
    assert re.findall(r'href="/letters/([^"]+)"', letters) == [str(ids["mine"])]
    everything = site.user("kari", "operator").get("/service").text
    assert "x-foreign" in everything
    assert f'href="/letters/{ids["foreign"]}"' in everything


def test_faults_of_an_edit_stand_with_their_key(site: Site) -> None:
    """Errors in either file are shown at their keys, and that the page has an older one."""
    kari = site.user("kari", "operator")
    assert 'data-testid="fault"' not in kari.get("/service").text
    config = site.page.configuration.path
    config.write_text(
        config.read_text(encoding="utf-8") + '\n[delivery]\ngive_up_after = "soon"\n',
        encoding="utf-8",
    )
    site.folder.joinpath("routing.toml").write_text(
        '[[route]]\nname = "x"\nto = ["nobody"]\n', encoding="utf-8"
    )
    assert ("edit", "") in _troubles(kari.get("/").text)
    text = kari.get("/service").text
    keys = re.findall(r'data-testid="fault" data-key="([^"]*)"', text)
    assert "delivery.give_up_after" in keys
    assert any(key.startswith("route[1]") for key in keys)
    assert "endret siden denne siden ble startet" in text
    assert ("edit", "") in _troubles(text)


def test_the_configuration_is_shown_without_secrets(site: Site) -> None:
    """A secret is said to be set; of a web address only the server is shown."""
    config = site.page.configuration.path
    site.folder.joinpath("webhook.secret").write_text(SECRET, encoding="utf-8")
    config.write_text(
        config.read_text(encoding="utf-8")
        + '\n[destination.hook]\ntype = "webhook"\nurl = "https://erp.example.no/in?token=hush"\n'
        'secret_file = "webhook.secret"\n',
        encoding="utf-8",
    )
    changed = _reopened(site)
    text = changed.user("kari", "operator").get("/service").text
    options = dict(re.findall(r'data-testid="option" data-name="([^"]+)">([^<]*)<', text))
    assert options["secret_file"] == "satt"
    assert options["key_file"] == "satt"
    assert options["url"] == "https://erp.example.no/…"
    assert options["give_up_after"] == "5d"
    assert "hush" not in text
    assert SECRET not in text


def _reopened(site: Site) -> Site:
    from daemon.service import stack

    loaded = stack.load_for_page(site.page.configuration.path)
    page = replace(site.page, configuration=loaded.configuration)
    return replace(site, page=page, app=application(page, Assets()))


def test_a_stopped_service_is_said_on_every_page(site: Site, tmp_path: Path) -> None:
    """While no process has the store's lock, every page of a signed-in user says so."""
    database = site.page.configuration.store.beside
    now = [1000.0]
    lock = InstanceLock(database)
    lock.write_holder(SERVICE)
    lock.release()
    pulse = Pulse(database, lambda: now[0])
    page = replace(site.page, is_stopped=pulse.is_stopped)
    watched = replace(site, page=page, app=application(page, Assets()))
    kari = watched.user("kari", "operator", "reader")
    addresses = ("/", "/letters", "/deliveries", "/service")
    assert all('data-testid="stopped"' in kari.get(each).text for each in addresses)
    assert 'data-testid="stopped"' not in watched.visitor().get("/login").text
    lock = InstanceLock(database)
    now[0] += 11
    assert not any('data-testid="stopped"' in kari.get(each).text for each in addresses)
    lock.release()
    now[0] += 11
    assert not pulse.is_stopped()  # it may be starting again
    now[0] += 31
    assert pulse.is_stopped()
    lock = InstanceLock(database)
    lock.write_holder(POLL)
    lock.release()
    assert not Pulse(database).is_stopped()  # cron runs it round by round


def test_many_requests_look_at_the_lock_once(tmp_path: Path) -> None:
    """In a few seconds one look is enough; what cannot be seen is not called stopped."""
    database, now = tmp_path / "postmottak.db", [0.0]
    pulse = Pulse(database, lambda: now[0])
    assert not pulse.is_stopped()
    lock = InstanceLock(database)
    lock.write_holder(SERVICE)
    lock.release()
    assert not pulse.is_stopped()
    now[0] += 11
    assert not pulse.is_stopped()
    now[0] += 31
    assert pulse.is_stopped()


def test_every_kind_of_problem_has_words() -> None:
    """No problem that the program names is shown by its kind alone."""
    kinds: set[str] = set()
    for path in (ROOT / "daemon").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if "Problem(" in text:
            kinds |= set(re.findall(r'kind="([a-z-]+)"', text))
            kinds |= set(re.findall(r'_problem\(\s*"([a-z-]+)"', text))
    from daemon.core.bookkeeping import CLOCK, COLLISION, SEEN_BY_SERVICE
    from daemon.monitoring.journal import KIND as JOURNAL_BEHIND

    assert {"dead", "rights", "unread"} <= kinds
    kinds |= {CLOCK, COLLISION, NOT_RUNNING, UNSEEN, JOURNAL_BEHIND}
    assert kinds | SEEN_BY_SERVICE <= set(PROBLEMS)


@pytest.mark.parametrize("kind", sorted(PROBLEMS))
def test_every_kind_of_problem_leads_somewhere(site: Site, kind: str) -> None:
    """The address of a problem is a page that there is."""
    problem = Problem(kind=kind, about="abcd1234", where="erp", text="x")
    path, _, anchor = str(shown(problem)["address"]).partition("#")
    if kind not in {"incomplete", "rejected"}:
        page = site.user("kari", "operator").get(path)
        assert page.status_code == 200
        assert not anchor or f'id="{anchor}"' in page.text
