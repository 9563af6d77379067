"""`check`, run by root, finds what the service's user cannot do; here without systemd.

With systemd, `make system-test` does the same.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.conftest import Begin, Journey
from tests.processes.warm import ROOT

SERVICE = 64123
"""A user and a group that no system has."""
PYTHON = "/usr/bin/python3"
"""One that every user may run; the tests' own may lie below /root."""


_PLACES = [str(ROOT), *(each for each in sys.path if each.endswith("site-packages"))]
PROGRAM = f"import sys; sys.path += {_PLACES!r}; import postmottak; postmottak.main()"


def _fits() -> bool:
    version = [PYTHON, "-c", "import sys; print(sys.version_info[:2])"]
    return (
        os.geteuid() == 0
        and Path(PYTHON).exists()
        and subprocess.check_output(version, text=True).strip() == str(sys.version_info[:2])
    )


pytestmark = pytest.mark.skipif(
    not _fits(), reason="needs root, and in /usr/bin the Python that runs the tests"
)


@pytest.fixture
def journey() -> Iterator[Journey]:
    """An installation whose store and drop belong to the service's user, who may read its files."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        place.chmod(0o755)
        with Begin(place) as found:
            store = place / "store"
            store.mkdir(mode=0o700)
            for each in (store, found.scene.drop):
                os.chown(each, SERVICE, SERVICE)
            for name in ("maskinporten.pem", "webhook.secret"):
                os.chown(place / name, 0, SERVICE)
                (place / name).chmod(0o640)
            text = found.scene.configuration.read_text()
            text = text.replace("sqlite:///postmottak.db", "sqlite:///store/postmottak.db")
            found.scene.configuration.write_text(text.replace('"content"', '"store/content"'))
            yield found


def check(journey: Journey, *options: str) -> tuple[int, str]:
    """The exit code of a check by root, and what it said on both channels."""
    command = [PYTHON, "-c", PROGRAM, "-c", str(journey.scene.configuration), "check", *options]
    ended = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, cwd="/"
    )
    assert "Traceback" not in ended.stdout
    return ended.returncode, ended.stdout


def test_all_is_well(journey: Journey) -> None:
    """A check of a sound installation names its user, proves every step, and leaves nothing."""
    code, said = check(journey)
    assert code == 0, said
    assert "WARN service: checked as 64123, the owner of the store" in said
    assert "ok   database:" in said
    assert "can be written by 64123, and is created at the first start" in said
    assert "ok   destination mappe: the drop" in said
    assert list((journey.scene.folder / "store").iterdir()) == []
    code, said = check(journey, "--json", "--offline")
    document = json.loads(said)
    assert (code, document["ok"]) == (0, True)
    assert [each["subject"] for each in document["findings"]] == ["service", "database", "content"]
    assert [each["warning"] for each in document["findings"]] == [True, False, False]


def test_a_secret_that_only_root_can_read(journey: Journey) -> None:
    """It is a fault, with both ways to mend it; for root, nothing would be wrong."""
    key = journey.scene.folder / "maskinporten.pem"
    key.chmod(0o600)
    code, said = check(journey, "--offline")
    assert code == 1
    assert f"{key} may not be read by 64123" in said
    assert f"LoadCredential=maskinporten.pem:{key}" in said
    assert f"chgrp 64123 {key} && chmod g+r {key}" in said


def test_a_drop_of_another_user(journey: Journey) -> None:
    """A drop that root may write to and the service may not fails, with the command."""
    os.chown(journey.scene.drop, 0, 0)
    journey.scene.drop.chmod(0o755)
    code, said = check(journey)
    assert code == 1
    assert "FAIL destination mappe: the drop folder" in said
    assert f"may not be written by 64123; run: chown 64123 {journey.scene.drop}" in said


def test_files_of_root_in_the_store(journey: Journey) -> None:
    """What root has left in the store is named, with the owner and the command."""
    store = journey.scene.folder / "store"
    for name in ("postmottak.db", "content/ab/cd"):
        (store / name).parent.mkdir(parents=True, exist_ok=True)
        (store / name).touch(mode=0o600)
    for folder in ("content", "content/ab"):
        (store / folder).chmod(0o700)
    code, said = check(journey, "--offline")
    assert code == 1
    assert f"FAIL database: {store}/postmottak.db belongs to root, and 64123 may not" in said
    assert f"FAIL content: the folder of the content, {store}/content, may not be written" in said
    os.chown(store / "content", SERVICE, SERVICE)
    assert f"{store}/content/ab belongs to root" in check(journey, "--offline")[1]


def test_a_program_that_the_service_cannot_start(journey: Journey) -> None:
    """Where the program lies closed to the service's user, the check fails and says so."""
    (journey.scene.folder / "closed").mkdir(mode=0o700)
    python = journey.scene.folder / "closed/python3"
    python.symlink_to(PYTHON)
    command = [
        str(python),
        "-c",
        PROGRAM,
        "-c",
        str(journey.scene.configuration),
        "check",
        "--offline",
    ]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert ended.returncode == 1
    assert "FAIL service: the check could not be run as the service" in ended.stdout
    assert "Traceback" not in ended.stderr


def test_a_root_that_may_not_become_the_service(journey: Journey) -> None:
    """In a container without capabilities, what to do is how to become the store's owner."""
    command = ["setpriv", "--bounding-set=-all", PYTHON, "-c", PROGRAM]
    command += ["-c", str(journey.scene.configuration), "check", "--offline"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert ended.returncode == 1
    assert "operation not permitted; run the command as that user (in a" in ended.stdout
    assert f"--user {SERVICE}:{SERVICE}" in ended.stdout
