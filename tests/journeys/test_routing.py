"""The routing table as an operator meets it: asked about, tried, carried to a spreadsheet, and
edited while the service runs."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from openpyxl import load_workbook

from connectors.sandbox.letters import PretendLetter
from tests.journeys.conftest import Begin, Journey
from tests.journeys.edits import (
    RECIPIENTS,
    REST,
    STYLES,
    TABLE,
    TAX,
    decisions,
    in_force,
    link_swapped_further_up,
    query,
    table_file,
    version,
)

OLD_COVER = (
    '\n[[delegation]]\nfrom = "regnskap"\nto = "post"\nstarts = 2020-12-21\nends = 2021-01-03\n'
)
OFTEN = 'poll_every = "1s"\n'
IN_TIME = 20  # seconds; far more than it takes, for a machine that has much else to do


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
    """A saved edit is in force soon and decides about later letters; a broken one changes nothing,
    and status and log say what to do."""
    with begun(mailbox=OFTEN, routing=TABLE) as journey, running(journey) as log:
        edited = TABLE.replace("Alt annet", "Resten")
        table_file(journey).write_text(edited)
        assert journey.altinn.wait_for(
            lambda: in_force(journey) == version(edited), timeout=IN_TIME
        )
        letter = publish(journey)
        assert journey.altinn.wait_for(lambda: letter in decisions(journey), timeout=IN_TIME)
        assert decisions(journey)[letter] == ("Resten", version(edited))

        table_file(journey).write_text(edited.replace("services =", "sevices ="))
        status = journey.run("status", "--json")
        assert status.code == 3
        told = status.json["routing"]
        assert (told["state"], told["version"]) == ("faulty", version(edited))
        (fault,) = told["faults"]
        assert (Path(fault["file"]).name, fault["line"], fault["problem"]) == (
            "routing.toml",
            12,
            "'sevices' is not a known key here",
        )
        assert fault["remedy"] == "Did you mean 'services'?"
        shown = journey.run("status").output
        assert "the previous table stays active" in shown
        assert (
            "routing.toml:12: route[1].sevices: 'sevices' is not a known key here. Did you "
            "mean 'services'?"
        ) in shown
        assert journey.run("messages", "list").code == 0
        later = publish(journey)
        assert journey.altinn.wait_for(lambda: later in decisions(journey), timeout=IN_TIME)
        assert decisions(journey)[later] == ("Resten", version(edited))

        fixed = edited + OLD_COVER
        table_file(journey).write_text(fixed)
        assert journey.altinn.wait_for(lambda: in_force(journey) == version(fixed), timeout=IN_TIME)
        assert journey.run("status", "--json").json["routing"]["state"] == "in force"
    assert any(
        "an edit is not in force" in line and "routing.toml:12" in line and "services" in line
        for line in log
    )
    assert any("the cover for" in line and "ended on 2021-01-03" in line for line in log)


def test_no_letter_meets_a_half_written_table(begun: Callable[..., Begin]) -> None:
    """While letters arrive and the table is saved in the worst ways, each letter is decided by a
    whole table, and none is lost."""
    with begun(mailbox=OFTEN, routing=TABLE) as journey, running(journey):
        letters: list[str] = []
        texts = [TABLE]
        for number, save in enumerate(STYLES):
            texts.append(TABLE.replace("Alt annet", f"utgave {number}"))
            save(
                table_file(journey),
                texts[-1],
                lambda: letters.extend(publish(journey) for _ in range(5)),
            )
            assert journey.altinn.wait_for(
                lambda: in_force(journey) == version(texts[-1]), timeout=IN_TIME
            ), save.__name__
            letters.append(publish(journey))
        assert journey.altinn.wait_for(
            lambda: set(letters) == set(decisions(journey)), timeout=IN_TIME
        )
        assert {table for _, table in decisions(journey).values()} <= set(map(version, texts))
        assert decisions(journey)[letters[-1]] == (f"utgave {len(STYLES) - 1}", version(texts[-1]))
        assert journey.altinn.wait_for(
            lambda: len(journey.whole_drops()) == len(letters), timeout=IN_TIME
        )


def test_sighup_reads_at_once(begun: Callable[..., Begin]) -> None:
    """An edit that nothing tells of, a link swapped further up the path, is in force as soon as
    somebody sends SIGHUP."""
    with begun(mailbox=OFTEN, routing=TABLE) as journey:
        new = TABLE.replace("Alt annet", "Resten")
        configuration, swap = link_swapped_further_up(journey, new)
        process = journey.start("-c", str(configuration), "run")
        assert journey.altinn.wait_for_calls("list", 1, timeout=IN_TIME)
        assert in_force(journey) == version(TABLE)
        swap()
        process.send_signal(signal.SIGHUP)
        assert journey.altinn.wait_for(lambda: in_force(journey) == version(new), timeout=IN_TIME)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=IN_TIME)
        assert process.returncode == 0


@pytest.fixture
def decided(journey: Journey) -> Journey:
    """Letters that are stored and delivered, and a table in force that says `regnskap` for tax."""
    table_file(journey).write_text(TABLE)
    journey.publish(13)
    assert journey.poll().code == 0
    return journey


def test_list_and_check(decided: Journey) -> None:
    """`list` shows the routes in order, disabled ones too, the recipients and the covers, as JSON
    with everything; `check` warns of a cover that has ended and passes."""
    off = '\n[[route]]\nname = "Av"\nenabled = false\nto = ["post"]\n\n'
    table_file(decided).write_text(RECIPIENTS + off + TAX + REST + OLD_COVER)
    listed = [line.split() for line in decided.run("routes", "list").output.splitlines()]
    assert ["1", "Av", "every", "letter", "post", "disabled"] in listed
    assert ["2", "Skatt", "services:", "4255/8", "regnskap"] in listed
    assert ["3", "Alt", "annet", "every", "letter", "post"] in listed
    (recipient,) = [line for line in listed if line[:1] == ["regnskap"] and "mappe" in line]
    assert recipient[-1] == "mappe"
    (cover,) = [line for line in listed if "2020-12-21" in line]
    assert cover[:5] == ["regnskap", "post", "2020-12-21", "2021-01-03", "ended"]
    table_file(decided).write_text(TABLE + OLD_COVER)
    rows = decided.run("routes", "list", "--json").json
    assert rows["version"] == version(TABLE + OLD_COVER)
    assert rows["delegation"] == [
        {"from": "regnskap", "to": "post", "starts": "2020-12-21", "ends": "2021-01-03"}
    ]
    checked = decided.run("check", "--offline")
    assert checked.code == 0
    assert (
        "routing.toml:23: delegation[1].ends: the cover for 'regnskap' ended on 2021-01-03"
        in checked.output
    )
    assert len(decided.run("check", "--offline", "--json").json["warnings"]) == 1
    assert decided.run("status", "--json").json["routing"]["state"] == "edited"


def test_explain(decided: Journey) -> None:
    """A described letter is explained route by route by the file; neither nothing nor an unknown
    service can be."""
    explained = decided.run(
        "routes", "explain", "--service", "4255/1", "--sender", "974 761 076", "--title", "Hei"
    )
    assert explained.code == 0
    assert "the service must be 4255/8; the letter has 4255/1" in explained.output
    assert "it has no conditions" in explained.output
    folded = decided.run("routes", "explain", "--service", "4255/8")
    assert "1 later route not tried: an earlier route decided\nto mappe" in folded.output
    assert "Alt annet" not in folded.output
    tried = decided.run("routes", "explain", "--service", "4255/8", "--json").json["tried"]
    assert [each["result"] for each in tried] == ["won", "not reached"]
    assert "to mappe for post" in explained.output
    secret = decided.run("routes", "explain", "--service", "taushetsbelagt").output
    assert "Confidential, and no route appoints a recipient" in secret
    assert decided.run("routes", "explain").code == 2
    assert decided.run("routes", "explain", "--service", "4255/18").code == 2


def test_explain_years_later(decided: Journey) -> None:
    """A stored letter is explained by the table that decided it, when that is long gone, with its
    destinations, and the file is broken."""
    (key,) = query(decided, "SELECT m.id FROM messages m WHERE m.service = '4255/8'")
    message = str(UUID(key[0]))
    configuration = decided.scene.configuration
    configuration.write_text(
        configuration.read_text().replace("[destination.mappe]", "[destination.arkiv]")
    )
    table_file(decided).write_text("nonsense")
    explained = decided.run("routes", "explain", message)
    assert explained.code == 0, explained.errors
    assert "services: 4255/8" in explained.output
    assert f"by table {version(TABLE)[:12]}, Skatt: regnskap" in explained.output
    document = decided.run("routes", "explain", message, "--json").json
    assert document["version"] == version(TABLE)
    assert document["stored"]["recipients"] == document["decision"]["recipients"] == ["regnskap"]


def test_try_an_edit(decided: Journey) -> None:
    """`routes test` ends with 0 where nothing changes, with 5 where something does, from whom to
    whom, and with 1 for a faulty table."""
    edit = decided.scene.folder / "edit.toml"
    edit.write_text(TABLE + "# a comment")
    same = decided.run("routes", "test", "edit.toml")
    assert same.code == 0
    assert same.output.startswith("12 letters: 0 would change\ncompared with ")
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
    assert "'pots' is not a known recipient. Did you mean 'post'?" in wrong.errors
    assert decided.run("routes", "test", "missing.toml").code == 1


def test_lint(decided: Journey) -> None:
    """`lint` tells of routes that took nothing, and of destinations nobody uses."""
    quiet = (
        '[[route]]\nname = "Stille"\nservices = ["4255/7"]\ntitle_contains = ["zzz"]\nto = '
        '["post"]\n\n'
    )
    table_file(decided).write_text(RECIPIENTS + quiet + TAX + REST)
    told = decided.run("routes", "lint")
    assert told.code == 0
    assert "route 'Stille': no letters in the past year" in told.output
    assert "'Skatt'" not in told.output
    assert "destination 'epost': not used by any recipient or route" in told.output


@pytest.mark.parametrize("name", ["ark.csv", "ark.xlsx"])
def test_to_a_spreadsheet_and_back(decided: Journey, name: str) -> None:
    """What is exported and imported again changes nothing, and no file is overwritten."""
    assert decided.run("routes", "export", name).code == 0
    again = decided.run("routes", "export", name)
    assert (again.code, "exists already" in again.errors) == (1, True)
    imported = decided.run("routes", "import", name, "--write")
    assert (imported.code, imported.output) == (0, "nothing would change\n")
    assert table_file(decided).read_text() == TABLE


def test_import_an_edit(decided: Journey) -> None:
    """Import shows the difference and what is lost before it writes anything, writes only when it
    is told to, and keeps the old file."""
    decided.run("routes", "export", "ark.csv")
    sheet = decided.scene.folder / "ark.csv"
    sheet.write_bytes(
        sheet.read_bytes()
        .replace(b"Alt annet", b"Resten")
        .replace(b"skatter-avgifter", b"naeringsutvikling")
    )
    shown = decided.run("routes", "import", "ark.csv")
    assert shown.code == 0
    assert (
        '~ route "Skatt": services: "4255/8" -> "4255/7"\n~ route "Alt annet": name: "Alt annet" '
        '-> "Resten"\n' in shown.output
    )
    assert "comments in it are lost; the old file is kept as routing.toml.old" in shown.output
    assert table_file(decided).read_text() == TABLE
    written = decided.run("routes", "import", "ark.csv", "--write")
    assert written.code == 0
    assert written.output.index("Resten") < written.output.index("comments in it are lost")
    assert (decided.scene.folder / "routing.toml.old").read_text() == TABLE
    assert [route["name"] for route in decided.run("routes", "list", "--json").json["route"]] == [
        "Skatt",
        "Resten",
    ]
    sheet.write_bytes(sheet.read_bytes().replace(b"Resten;post;", b"Resten;pots;"))
    wrong = decided.run("routes", "import", "ark.csv", "--write")
    assert (wrong.code, "'pots' is not a known recipient" in wrong.errors) == (1, True)


def test_an_edit_of_a_norwegian_workbook(decided: Journey) -> None:
    """What people write into the workbook is shown under its own headings, a cover in the past is
    warned of, and with `--write` it is in force, remarks included."""
    assert decided.run("routes", "export", "ark.xlsx", "--language", "nb").code == 0
    path = decided.scene.folder / "ark.xlsx"
    book: Any = load_workbook(path)
    routes = book["Ruter"]
    routes["C2"], routes["E2"] = "971\u00a0040\u00a0238; \u201cSkatt*\u201d", "regnskap, post"
    routes["AK1"], routes["AK2"] = "# Merknad", "spør Kari"
    book["Fravær"].append(["regnskap", "post", "21.12.2020", "3.1.2021"])
    book.save(path)
    shown = decided.run("routes", "import", "ark.xlsx", "--write")
    assert shown.code == 0
    first, second, warning, compared, *_ = shown.output.splitlines()
    assert compared == "12 letters of the last 90 days: 1 would have gone elsewhere"
    assert first == (
        '~ route "Skatt": Avsendere: nothing -> "971040238", "Skatt*"; Til: "regnskap" -> '
        '"regnskap", "post"; # Merknad: nothing -> "spør Kari"'
    )
    assert second == '+ cover for "regnskap" by "post", 21.12.2020 to 03.01.2021, position 1'
    assert warning.startswith("warning: ark.xlsx: Fravær!D2 (Siste dag): the cover for 'regnskap'")
    assert "## Merknad: spør Kari\n[[route]]" in table_file(decided).read_text()
    listed = decided.run("routes", "list").output
    assert "senders: 971040238, Skatt*" in listed
    routes["C2"] = "9,71E+08"
    book.save(path)
    refused = decided.run("routes", "import", "ark.xlsx", "--write")
    assert (refused.code, refused.output) == (1, "")
    assert "ark.xlsx: Ruter!C2 (Avsendere): Excel has turned this into a number" in refused.errors


def test_a_spreadsheet_repairs_a_broken_table(decided: Journey) -> None:
    """Where routing.toml has faults, a spreadsheet is compared with the table in force and can be
    put in its place."""
    decided.run("routes", "export", "ark.csv")
    table_file(decided).write_text("nonsense")
    shown = decided.run("routes", "import", "ark.csv", "--write")
    assert (
        shown.code,
        "comparing with the active table instead\nnothing would change" in shown.output,
    ) == (0, True)
    assert [route["name"] for route in decided.run("routes", "list", "--json").json["route"]] == [
        "Skatt",
        "Alt annet",
    ]
    assert (decided.scene.folder / "routing.toml.old").read_text() == "nonsense"


def test_status_needs_its_configuration(decided: Journey) -> None:
    """A routing table with faults does not stop commands that only look; a configuration with
    faults does."""
    table_file(decided).write_text("nonsense")
    assert decided.run("deliveries", "list").code == 0
    assert decided.run("poll").code == 3
    decided.scene.configuration.write_text("nonsense")
    assert decided.run("status").code == 1
