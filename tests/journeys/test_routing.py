"""The routing table as an operator meets it: asked about, tried, carried to a spreadsheet, and edited while the service runs."""

from __future__ import annotations

import hashlib
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import UUID

import pytest

from connectors.sandbox.letters import PretendLetter
from tests.journeys.conftest import Begin, Journey

RECIPIENTS = """\
# Who gets what.
[[recipient]]
name = "regnskap"
deliver_to = ["mappe"]

[[recipient]]
name = "post"
deliver_to = ["mappe"]

"""
TAX = '[[route]]\nname = "Skatt"\nservices = ["4255/8"]\nto = ["regnskap"]\n\n'
REST = '[[route]]\nname = "Alt annet"\nto = ["post"]\n'
OLD_COVER = '\n[[delegation]]\nfrom = "regnskap"\nto = "post"\nstarts = 2020-12-21\nends = 2021-01-03\n'
TABLE = RECIPIENTS + TAX + REST
OFTEN = 'poll_every = "1s"\n'
IN_TIME = 20  # seconds; far more than it takes, for a machine that has much else to do


def version(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def query(journey: Journey, sql: str, *values: str) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(f"file:{journey.scene.folder}/postmottak.db?mode=ro", uri=True, timeout=10)) as database:
        return database.execute(sql, values).fetchall()


def in_force(journey: Journey) -> str:
    if not (journey.scene.folder / "postmottak.db").exists():
        return ""
    found = query(journey, "SELECT version FROM routing_versions ORDER BY in_force_since DESC LIMIT 1")
    return found[0][0] if found else ""


def decisions(journey: Journey) -> dict[str, tuple[str, str]]:
    """The route and the table of each stored letter, by its id in Altinn."""
    rows = query(
        journey, "SELECT m.external_id, d.route, d.routing_version FROM messages m JOIN decisions d ON d.message_id = m.id AND d.number = 1"
    )
    return {letter: (route, table) for letter, route, table in rows}


def table_file(journey: Journey) -> Path:
    return journey.scene.folder / "routing.toml"


@contextmanager
def running(journey: Journey) -> Iterator[list[str]]:
    """The service, until the block ends; its log is in the list after that."""
    log: list[str] = []
    process = journey.start("run")
    try:
        assert journey.altinn.wait_for_calls("list", 1, timeout=IN_TIME)
        yield log
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=IN_TIME)
        log.extend(errors.splitlines())
    assert process.returncode == 0, errors


def publish(journey: Journey) -> str:
    return journey.altinn.publish(PretendLetter(party=journey.scene.party))


def test_an_edit_is_in_force_while_the_service_runs(begun: Callable[..., Begin]) -> None:
    """A saved edit is in force soon and decides about later letters; a broken one changes nothing, and status and log say what to do."""
    with begun(mailbox=OFTEN, routing=TABLE) as journey, running(journey) as log:
        edited = TABLE.replace("Alt annet", "Resten")
        table_file(journey).write_text(edited)
        assert journey.altinn.wait_for(lambda: in_force(journey) == version(edited), timeout=IN_TIME)
        letter = publish(journey)
        assert journey.altinn.wait_for(lambda: letter in decisions(journey), timeout=IN_TIME)
        assert decisions(journey)[letter] == ("Resten", version(edited))

        table_file(journey).write_text(edited.replace("services =", "sevices ="))
        status = journey.run("status", "--json")
        assert status.code == 0
        told = status.json["routing"]
        assert (told["state"], told["version"]) == ("faulty", version(edited))
        (fault,) = told["faults"]
        assert (Path(fault["file"]).name, fault["line"], fault["problem"]) == ("routing.toml", 12, "'sevices' is no key here")
        assert fault["remedy"] == "Did you mean 'services'?"
        shown = journey.run("status").output
        assert "the table in force stays" in shown
        assert "routing.toml:12: route[1].sevices: 'sevices' is no key here. Did you mean 'services'?" in shown
        assert journey.run("messages", "list").code == 0
        later = publish(journey)
        assert journey.altinn.wait_for(lambda: later in decisions(journey), timeout=IN_TIME)
        assert decisions(journey)[later] == ("Resten", version(edited))

        mended = edited + OLD_COVER
        table_file(journey).write_text(mended)
        assert journey.altinn.wait_for(lambda: in_force(journey) == version(mended), timeout=IN_TIME)
        assert journey.run("status", "--json").json["routing"]["state"] == "in force"
    assert any("an edit is not in force" in line and "routing.toml:12" in line and "services" in line for line in log)
    assert any("the cover for" in line and "ended on 2021-01-03" in line for line in log)


def slowly(path: Path, text: str, meanwhile: Callable[[], object]) -> None:
    """As a script does that writes as it goes along."""
    with path.open("w", encoding="utf-8") as file:
        for start in range(0, len(text), len(text) // 4):
            file.write(text[start : start + len(text) // 4])
            file.flush()
            meanwhile()


def renamed(path: Path, text: str, meanwhile: Callable[[], object]) -> None:
    """As vim does: the old file goes aside, and a new one comes in its place."""
    backup = path.with_name(path.name + "~")
    path.rename(backup)
    meanwhile()
    path.write_text(text, encoding="utf-8")
    backup.unlink()


def streamed(path: Path, text: str, meanwhile: Callable[[], object]) -> None:
    """As `sed -i` does."""
    new = text.split("utgave ")[1].split('"', maxsplit=1)[0]
    subprocess.run(["sed", "-i", f"s/utgave [0-9]*/utgave {new}/", str(path)], check=True)
    meanwhile()


def linked(path: Path, text: str, meanwhile: Callable[[], object]) -> None:
    """As a configuration management does: a new file, and a symbolic link that is swapped."""
    behind = path.with_name(f"{version(text)[:8]}.toml")
    behind.write_text(text, encoding="utf-8")
    meanwhile()
    swap = path.with_name("swap")
    swap.symlink_to(behind.name)
    swap.rename(path)


def broken(path: Path, text: str, meanwhile: Callable[[], object]) -> None:
    """Saved broken, and mended at once."""
    path.write_text(text.replace('to = ["post"]', 'to = ["pots"]'), encoding="utf-8")
    meanwhile()
    path.write_text(text, encoding="utf-8")


def test_no_letter_meets_a_half_written_table(begun: Callable[..., Begin]) -> None:
    """While letters arrive and the table is saved in the worst ways, each letter is decided by a whole table, and none is lost."""
    with begun(mailbox=OFTEN, routing=TABLE) as journey, running(journey):
        letters: list[str] = []
        texts = [TABLE]
        for number, save in enumerate((slowly, renamed, streamed, broken, linked, slowly, renamed)):
            texts.append(TABLE.replace("Alt annet", f"utgave {number}"))
            save(table_file(journey), texts[-1], lambda: letters.extend(publish(journey) for _ in range(5)))
            assert journey.altinn.wait_for(lambda: in_force(journey) == version(texts[-1]), timeout=IN_TIME), save.__name__
            letters.append(publish(journey))
        assert journey.altinn.wait_for(lambda: set(letters) == set(decisions(journey)), timeout=IN_TIME)
        assert {table for _, table in decisions(journey).values()} <= set(map(version, texts))
        assert decisions(journey)[letters[-1]] == ("utgave 6", version(texts[-1]))
        assert journey.altinn.wait_for(lambda: len(journey.whole_drops()) == len(letters), timeout=IN_TIME)


@pytest.fixture
def decided(journey: Journey) -> Journey:
    """Letters that are stored and delivered, and a table in force that says `regnskap` for tax."""
    table_file(journey).write_text(TABLE)
    journey.publish(13)
    assert journey.poll().code == 0
    return journey


def test_list_and_check(decided: Journey) -> None:
    """`list` shows the routes in order, as JSON with everything; `check` warns of a cover that has ended and passes."""
    table_file(decided).write_text(TABLE + OLD_COVER)
    listed = decided.run("routes", "list")
    assert listed.output.index("Skatt") < listed.output.index("Alt annet")
    assert "services: 4255/8" in listed.output
    rows = decided.run("routes", "list", "--json").json
    assert rows["version"] == version(TABLE + OLD_COVER)
    assert rows["delegation"] == [{"from": "regnskap", "to": "post", "starts": "2020-12-21", "ends": "2021-01-03"}]
    checked = decided.run("check", "--offline")
    assert checked.code == 0
    assert "routing.toml:23: delegation[1].ends: the cover for 'regnskap' ended on 2021-01-03" in checked.output
    assert len(decided.run("check", "--offline", "--json").json["warnings"]) == 1
    assert decided.run("status", "--json").json["routing"]["state"] == "edited"


def test_explain(decided: Journey) -> None:
    """A described letter is explained route by route by the file; neither nothing nor an unknown service can be."""
    explained = decided.run("routes", "explain", "--service", "4255/1", "--sender", "974 761 076", "--title", "Hei")
    assert explained.code == 0
    assert "services must be 4255/8; the letter has 4255/1" in explained.output
    assert "it has no conditions" in explained.output
    assert "to mappe for post" in explained.output
    secret = decided.run("routes", "explain", "--service", "taushetsbelagt").output
    assert "Confidential, and no route appoints a recipient" in secret
    assert decided.run("routes", "explain").code == 2
    assert decided.run("routes", "explain", "--service", "4255/18").code == 2


def test_explain_years_later(decided: Journey) -> None:
    """A stored letter is explained by the table that decided it, when that is long gone, with its destinations, and the file is broken."""
    (key,) = query(decided, "SELECT m.id FROM messages m WHERE m.service = '4255/8'")
    message = str(UUID(key[0]))
    configuration = decided.scene.configuration
    configuration.write_text(configuration.read_text().replace("[destination.mappe]", "[destination.arkiv]"))
    table_file(decided).write_text("nonsense")
    explained = decided.run("routes", "explain", message)
    assert explained.code == 0, explained.errors
    assert "services: 4255/8" in explained.output
    assert f"by table {version(TABLE)[:12]}, Skatt: regnskap" in explained.output
    document = decided.run("routes", "explain", message, "--json").json
    assert document["version"] == version(TABLE)
    assert document["stored"]["recipients"] == document["decision"]["recipients"] == ["regnskap"]


def test_try_an_edit(decided: Journey) -> None:
    """`routes test` ends with 0 where nothing changes, with 5 where something does, from whom to whom, and with 1 for a faulty table."""
    edit = decided.scene.folder / "edit.toml"
    edit.write_text(TABLE + "# a comment")
    same = decided.run("routes", "test", "edit.toml")
    assert (same.code, same.output) == (0, "12 letters: 0 would change\n")
    edit.write_text(TABLE.replace('services = ["4255/8"]', 'services = ["4255/8", "4255/1"]'))
    changed = decided.run("routes", "test", "edit.toml", "--since", "1d")
    assert (changed.code, changed.errors) == (5, "")
    assert "from post (mappe) to regnskap (mappe)" in changed.output
    document = decided.run("routes", "test", "edit.toml", "--json")
    assert document.code == 5
    assert document.json["changed"] == len(document.json["moves"])
    assert {move["service"] for move in document.json["moves"]} == {"4255/1"}
    edit.write_text(TABLE.replace('to = ["post"]', 'to = ["pots"]'))
    wrong = decided.run("routes", "test", "edit.toml")
    assert (wrong.code, wrong.output) == (1, "")
    assert "'pots' is no recipient. Did you mean 'post'?" in wrong.errors
    assert decided.run("routes", "test", "missing.toml").code == 1


def test_lint(decided: Journey) -> None:
    """`lint` tells of routes that took nothing, and of destinations nobody uses."""
    quiet = '[[route]]\nname = "Stille"\nservices = ["4255/7"]\ntitle_contains = ["zzz"]\nto = ["post"]\n\n'
    table_file(decided).write_text(RECIPIENTS + quiet + TAX + REST)
    told = decided.run("routes", "lint")
    assert told.code == 0
    assert "route 'Stille': took no letter in the past year" in told.output
    assert "'Skatt'" not in told.output
    assert "destination 'epost': no recipient and no route uses it" in told.output


@pytest.mark.parametrize("name", ["ark.csv", "ark.xlsx"])
def test_to_a_spreadsheet_and_back(decided: Journey, name: str) -> None:
    """What is exported and imported again changes nothing, and no file is overwritten."""
    assert decided.run("routes", "export", name).code == 0
    again = decided.run("routes", "export", name)
    assert (again.code, "is there already" in again.errors) == (1, True)
    imported = decided.run("routes", "import", name, "--write")
    assert (imported.code, imported.output) == (0, "nothing would change\n")
    assert table_file(decided).read_text() == TABLE


def test_import_an_edit(decided: Journey) -> None:
    """Import shows the difference and what is lost before it writes anything, writes only when it is told to, and keeps the old file."""
    decided.run("routes", "export", "ark.csv")
    sheet = decided.scene.folder / "ark.csv"
    sheet.write_bytes(sheet.read_bytes().replace(b"Alt annet", b"Resten").replace(b"skatter-avgifter", b"naeringsutvikling"))
    shown = decided.run("routes", "import", "ark.csv")
    assert shown.code == 0
    assert "- route 'Alt annet'\n+ route 'Resten'\n~ route 'Skatt': services: 4255/8 -> 4255/7\n" in shown.output
    assert "comments in it are lost, and the old file is kept as routing.toml.old" in shown.output
    assert table_file(decided).read_text() == TABLE
    written = decided.run("routes", "import", "ark.csv", "--write")
    assert written.code == 0
    assert written.output.index("Resten") < written.output.index("comments in it are lost")
    assert (decided.scene.folder / "routing.toml.old").read_text() == TABLE
    assert [route["name"] for route in decided.run("routes", "list", "--json").json["route"]] == ["Skatt", "Resten"]
    sheet.write_bytes(sheet.read_bytes().replace(b"Resten;post;", b"Resten;pots;"))
    wrong = decided.run("routes", "import", "ark.csv", "--write")
    assert (wrong.code, "'pots' is no recipient" in wrong.errors) == (1, True)


def test_status_needs_its_configuration(decided: Journey) -> None:
    """A routing table with faults does not stop commands that only look; a configuration with faults does."""
    table_file(decided).write_text("nonsense")
    assert decided.run("deliveries", "list").code == 0
    assert decided.run("poll").code == 1
    decided.scene.configuration.write_text("nonsense")
    assert decided.run("status").code == 1
