"""First steps: from nothing to a configuration that can be filled in."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

from joserfc.jwk import RSAKey

from tests.journeys.conftest import PYTHON
from tests.processes.warm import ROOT


def _init(folder: Path, *, inside: Path = Path("/")) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin"} | (
        {"PYTHONPATH": str(ROOT)} if sys.executable == PYTHON else {}
    )
    command = [PYTHON, "-c", "import postmottak; postmottak.main()", "init", str(folder)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, cwd=inside
    )


def test_first_steps(tmp_path: Path) -> None:
    """The first run writes files and a private key, and prints its public half; the second changes
    nothing; both say what is missing, and both did what was asked."""
    folder = tmp_path / "new"
    first = _init(folder)
    assert first.returncode == 0, first.stderr
    assert (folder / "maskinporten.pem").stat().st_mode & 0o777 == 0o600
    printed = json.loads(next(line for line in first.stdout.splitlines() if line.startswith("{")))
    private = RSAKey.import_key((folder / "maskinporten.pem").read_text())
    assert printed["n"] == private.as_dict(private=False)["n"]
    assert "d" not in printed
    expires = tomllib.loads((folder / "postmottak.toml").read_text())["mailbox"]["altinn"][
        "key_expires"
    ]
    assert timedelta(days=360) < expires - datetime.now(UTC).date() < timedelta(days=366)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    second = _init(folder)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert f"begin each command with:\n  postmottak -c {folder}/postmottak.toml\n" in second.stdout
    missing = second.stdout.partition("Still missing")[2].partition("Then continue")[0]
    assert "client_id" in missing
    assert "parties" in missing
    assert missing.count("postmottak.toml") == 2


def test_what_to_register(tmp_path: Path) -> None:
    """The bodies of the two registrations are whole JSON with what the configuration says by now;
    the pages are linked; only the key's line is wider than a terminal."""
    for known in (False, True):
        if known:
            path = tmp_path / "new/postmottak.toml"
            path.write_text(
                path.read_text()
                .replace('client_id = ""', 'client_id = "2f8d5c1e"')
                .replace("parties = []", 'parties = ["974761076"]')
                .replace('"prod"', '"tt02"')
            )
        said = _init(Path("new"), inside=tmp_path).stdout
        calls = re.findall(r"(?ms) with POST to:\n(\S+)\n(\{$.*?^\})$", said)
        system, user = (json.loads(body) for _, body in calls)
        party = "974761076" if known else "YOUR-ORGANISATION-NUMBER"
        assert system["id"] == user["systemId"] == f"{party}_postmottak"
        assert (system["vendor"]["ID"], user["partyOrgNo"]) == (f"0192:{party}", party)
        assert system["clientId"] == ["2f8d5c1e" if known else "THE-CLIENT-ID"]
        assert system["accessPackages"] == user["accessPackages"]
        place = ".tt02" if known else ""
        start = f"https://platform{place}.altinn.no/authentication/api/v1"
        addresses = [address for address, _ in calls]
        assert addresses == [f"{start}/systemregister/vendor", f"{start}/systemuser/request/vendor"]
        test = ".test" if known else ""
        assert f"https://sjolvbetjening{test}.samarbeid.digdir.no/" in said
        wide = [each for each in said.replace(f"{tmp_path}", "").splitlines() if len(each) > 80]
        assert [each[:7] for each in wide] == ['{"kty":']


def test_the_drop_in(tmp_path: Path) -> None:
    """The unit's drop-in has every folder that letters go to and every secret that is there."""
    _init(tmp_path)
    path = tmp_path / "postmottak.toml"
    (tmp_path / "smtp.password").write_text("x")
    (tmp_path / "webhook.secret").write_text("x")
    (tmp_path / "api.key").write_text("x")
    path.write_text(
        path.read_text()
        .replace('"sqlite:///', '"sqlite:////srv/store/')
        .replace('"content"', '"/var/lib/postmottak/content"')
        + '[destination.arkiv]\ntype = "filedrop"\npath = "drop"\n'
        '[destination.post]\ntype = "smtp"\nusername = "x"\npassword_file = "smtp.password"\n'
        '[destination.hook]\ntype = "webhook"\nsecret_file = "webhook.secret"\n'
        'headers = { "X-Api-Key" = "api.key", "X-Other" = "missing.key" }\n'
        f'[destination.s3]\ntype = "s3"\nsecret_key_file = "{tmp_path}/smtp.password"\n'
        '[destination.nonsense]\ntype = "no-such-type"\npath = "x"\n'
    )
    said = _init(tmp_path).stdout
    section = said.partition("[Service]\n")[2].partition("\n\n")[0].split()
    assert section == [
        "ReadWritePaths=-/srv/erp/inbox",
        f"ReadWritePaths=-{tmp_path}/drop",
        "ReadWritePaths=/srv/store",
        f"LoadCredential=smtp.password:{tmp_path}/smtp.password",
        f"LoadCredential=webhook.secret:{tmp_path}/webhook.secret",
        f"LoadCredential=api.key:{tmp_path}/api.key",
    ]
    assert f"install -d -o postmottak -g postmottak -m 0750 {tmp_path}/drop" in said
    path.write_text("nonsense")
    assert _init(tmp_path).returncode == 0


def test_filled_in(tmp_path: Path) -> None:
    """With what only the operator knows filled in, nothing is missing."""
    _init(tmp_path)
    path = tmp_path / "postmottak.toml"
    path.write_text(
        path.read_text()
        .replace('client_id = ""', 'client_id = "abc"')
        .replace("parties = []", 'parties = ["974761076"]')
    )
    ended = _init(tmp_path)
    assert ended.returncode == 0, ended.stdout
    assert "The files are complete" in ended.stdout


def test_a_mistake_has_no_traceback(tmp_path: Path) -> None:
    """A folder that cannot be, and a key that is none, are told in words."""
    (tmp_path / "file").touch()
    (tmp_path / "maskinporten.pem").write_text("nonsense")
    for folder in (tmp_path / "file", tmp_path):
        ended = _init(folder)
        assert ended.returncode == 1
        assert "Traceback" not in ended.stderr
        assert str(tmp_path) in ended.stderr
