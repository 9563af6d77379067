"""The Maskinporten key is replaced while letters keep arriving, by the commands and their words."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import tomllib
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest

from connectors.sandbox.letters import PretendLetter
from connectors.sandbox.samples import sandbox_resource
from daemon.cli.keys import _uses
from tests.journeys.conftest import Journey


def _client(journey: Journey) -> str:
    found = tomllib.loads(journey.scene.configuration.read_text())["mailbox"]["altinn"]
    return str(found["client_id"])


def test_a_key_is_replaced(journey: Journey) -> None:
    """Made beside the old one, registered, put in its place as printed: not a poll is refused."""
    first = journey.publish(2)
    made = journey.run("key", "new")
    assert made.code == 0, made.errors
    assert journey.poll().json["stored"] == 2  # the old key is still in use
    jwk = json.loads(made.output.splitlines()[-1])
    assert "d" not in jwk
    journey.altinn.add_key(_client(journey), jwk, jwk["kid"])
    old = journey.scene.folder / "maskinporten.pem"
    assert old.stat().st_mode & 0o777 != 0o640
    old.chmod(0o640)
    _put_in_place(made.output)
    assert old.stat().st_mode & 0o777 == 0o640
    configuration = journey.scene.configuration
    lines = re.findall(r"(?m)^ +(key_id|key_expires) = (.*)$", made.output)
    text = re.sub(
        r"(?m)^key_id = .*$",
        "\n".join(" = ".join(each) for each in lines),
        configuration.read_text(),
    )
    configuration.write_text(text)
    journey.altinn.maskinporten.codes = "none"
    assert journey.run("check").code == 0
    journey.altinn.publish(
        PretendLetter(party=journey.scene.party, resource=sandbox_resource("4255/8"))
    )
    assert journey.poll().code == 0
    assert len(journey.whole_drops()) == len(first) + 1
    listed = {Path(each["file"]).name: each for each in journey.run("key", "list", "--json").json}
    assert listed["maskinporten.pem"]["key_id"] == jwk["kid"] == dict(lines)["key_id"].strip('"')
    assert listed["maskinporten.pem"]["mailbox"] == "altinn"
    (kept,) = (each for name, each in listed.items() if name != "maskinporten.pem")
    assert kept["mailbox"] == ""


def _put_in_place(said: str) -> None:
    """Run the commands of step 2."""
    for line in said.partition("\n2. ")[2].partition("\n3. ")[0].splitlines()[1:]:
        subprocess.run(shlex.split(line) or ["true"], check=True)


def test_the_registered_key_outlives_a_second_try(journey: Journey) -> None:
    """A key that was put in place too early and replaced again is not the end of the one before;
    the printed way back leads to it, with its mode."""
    key = journey.scene.folder / "maskinporten.pem"
    key.chmod(0o640)
    before = key.read_bytes()
    first, second, third = (journey.run("key", "new").output for _ in range(3))
    for each in (first, second):
        _put_in_place(each)
    _put_in_place(journey.run("key", "new").output)
    kept = {path.read_bytes() for path in key.parent.glob("maskinporten-*.pem")}
    assert before in kept
    back = re.search(r"(?m)^ +(mv \S+ \S+maskinporten\.pem)\n\n5\.", first)
    assert back
    subprocess.run(shlex.split(back[1]), check=True)
    assert (key.read_bytes(), key.stat().st_mode & 0o777) == (before, 0o640)
    key.unlink()
    assert "--reference" in third
    assert "--reference" not in journey.run("key", "new").output


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_the_new_key_has_the_group_of_the_old(journey: Journey) -> None:
    """A service that reads the key through its group reads the new one as well."""
    key = journey.scene.folder / "maskinporten.pem"
    os.chown(key, 0, 12346)
    key.chmod(0o640)
    _put_in_place(journey.run("key", "new").output)
    assert (key.stat().st_gid, key.stat().st_mode & 0o777) == (12346, 0o640)


def test_a_new_key_overwrites_nothing(journey: Journey) -> None:
    """Each is a file of its own with an id of its own, for its owner only, and what was there stays
    byte for byte; openssl reads it."""
    folder = journey.scene.folder
    before = {path: path.read_bytes() for path in folder.glob("*.pem")}
    made = [journey.run("key", "new", "--json").json for _ in range(2)]
    assert len({each["key_file"] for each in made}) == len({each["key_id"] for each in made}) == 2
    assert {path: path.read_bytes() for path in before} == before
    for each in made:
        file = Path(each["key_file"])
        assert (file.parent, file.stat().st_mode & 0o777) == (folder, 0o600)
        assert file.stat().st_uid == folder.stat().st_uid
        openssl = ["openssl", "rsa", "-in", str(file), "-noout", "-modulus"]
        shown = subprocess.run(openssl, capture_output=True, text=True, check=True).stdout
        modulus = bytes.fromhex(shown.strip().partition("=")[2])
        assert urlsafe_b64encode(modulus).rstrip(b"=").decode() == each["public_jwk"]["n"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_key_made_by_root_belongs_to_the_folders_owner(journey: Journey) -> None:
    """What root makes in a folder of another user belongs to that user."""
    os.chown(journey.scene.folder, 12345, 12346)
    made = Path(journey.run("key", "new", "--json").json["key_file"]).stat()
    assert (made.st_uid, made.st_gid, made.st_mode & 0o777) == (12345, 12346, 0o600)


def test_the_list_names_what_is_wrong(journey: Journey) -> None:
    """A key that is missing, and a file that says another id than the configuration, are remarks;
    what is no private key is not listed, and nothing private is printed."""
    folder = journey.scene.folder
    other = journey.run("key", "new", "--json").json
    (folder / "certificate.pem").write_text("-----BEGIN CERTIFICATE-----\nx\n")
    Path(other["key_file"]).replace(folder / "maskinporten.pem")
    listed = journey.run("key", "list", "--json")
    (row,) = listed.json
    assert (row["file"], row["mailbox"]) == (str(folder / "maskinporten.pem"), "altinn")
    assert f"the file says {other['key_id']}" in row["remark"]
    (folder / "maskinporten.pem").unlink()
    lost = journey.run("key", "list")
    assert "no such file or directory" in lost.output
    assert "PRIVATE" not in lost.output + listed.output
    assert '"d"' not in listed.output
    assert journey.run("key", "new").code == 0  # even so


def test_several_mailboxes_are_told_apart(journey: Journey) -> None:
    """With two keys in use, the one to replace must be named; mistakes are told without a
    traceback."""
    configuration = journey.scene.configuration
    section = re.search(r"(?ms)^\[mailbox\.altinn\]$.*?(?=^\[)", configuration.read_text())
    assert section
    second = section[0].replace("[mailbox.altinn]", "[mailbox.other]")
    with configuration.open("a") as file:
        file.write("\n" + second.replace("maskinporten.pem", "keys/other.pem"))
    (journey.scene.folder / "keys").mkdir()
    refused = journey.run("key", "new")
    assert refused.code == 1
    assert "choose one with --mailbox: altinn, other" in refused.errors
    assert journey.run("key", "new", "--mailbox", "nobody").code == 1
    made = journey.run("key", "new", "--mailbox", "other", "--json").json
    assert Path(made["key_file"]).parent == journey.scene.folder / "keys"
    assert [each.mailbox for each in _uses(configuration)] == ["altinn", "other"]
    configuration.write_text("[mailbox.altinn\n")
    broken = journey.run("key", "list")
    assert (broken.code, "Traceback" in broken.errors) == (1, False)
    assert "is not valid TOML" in broken.errors
