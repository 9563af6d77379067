"""The files for two nodes and a database: what they say of each other, of the configuration, of the
program and of the unit is true."""

from __future__ import annotations

import ast
import re
import shlex
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import typer
import yaml

from connectors.sandbox.altinn3.access import ready_client
from daemon.cli import app
from daemon.config.loader import Configuration
from daemon.core.nodes import node_name
from daemon.service import stack
from daemon.web import metrics

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "packaging/several-nodes"
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())
DATABASE: dict[str, Any] = COMPOSE["services"]["database"]
NODES: dict[str, dict[str, Any]] = {
    name: each for name, each in COMPOSE["services"].items() if name != "database"
}
IMAGE = (FOLDER / "Containerfile").read_text().replace("\\\n", "")
LAST_STAGE = IMAGE.rpartition("\nFROM ")[2]
ENVIRONMENT = dict(
    word.split("=", 1)
    for line in re.findall(r"^ENV (.*)$", LAST_STAGE, re.MULTILINE)
    for word in line.split()
)
DROP_IN = (ROOT / "systemd/several-nodes.conf").read_text()


@pytest.fixture
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Configuration:
    """That of the nodes, with secrets where the image looks for them."""
    folder = shutil.copytree(FOLDER / "config", tmp_path / "config")
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for name in COMPOSE["secrets"]:
        (secrets / name).write_text(ready_client("991825827").private_key)
        (secrets / name).chmod(0o600)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(secrets))
    return stack.load(folder / "postmottak.toml").configuration


def mounts(service: dict[str, Any]) -> dict[str, str]:
    """What a service mounts, by where."""
    found = (each.removesuffix(":ro").rpartition(":") for each in service["volumes"])
    return {where: what for what, _, where in found}


def test_the_configuration_fits(configuration: Configuration) -> None:
    """It can be read. What it keeps and drops lies on volumes: content and drops on those that all
    nodes have, their own files on one of each. The server, the user and the database are those of
    the service `database`, and every secret is handed to the nodes."""
    store = configuration.store
    places = [mounts(each) for each in NODES.values()]
    drops = [str(each.settings.path) for each in configuration.destinations]  # type: ignore[attr-defined]
    for shared in (str(store.content), *drops, "/etc/postmottak"):
        assert len({each[shared] for each in places}) == 1, shared
    assert len({each[str(store.own_files)] for each in places}) == len(NODES)
    named = {each for place in places for each in place.values() if not each.startswith(".")}
    assert named | {*mounts(DATABASE).values()} == {*COMPOSE["volumes"]}
    url, told = urlsplit(store.database), DATABASE["environment"]
    assert (url.hostname, url.username) == ("database", told["POSTGRES_USER"])
    assert url.path == f"/{told['POSTGRES_DB']}"
    secret = Path(told["POSTGRES_PASSWORD_FILE"])
    assert (str(secret.parent), secret.name) == (
        ENVIRONMENT["CREDENTIALS_DIRECTORY"],
        store.password_file and store.password_file.path.name,
    )
    for each in (*NODES.values(), DATABASE):
        assert {*each["secrets"]} <= {*COMPOSE["secrets"]}
    assert all({*each["secrets"]} == {*COMPOSE["secrets"]} for each in NODES.values())


def test_nodes_differ_by_name_alone() -> None:
    """Each has a host name of its own, which is the name of its node, since the configuration,
    which they share, names none."""
    names = [each["hostname"] for each in NODES.values()]
    assert names == [*NODES] == [node_name(each) for each in names]
    assert len({*names}) == 2
    differ = {"hostname", "volumes"}
    one, other = ({k: v for k, v in each.items() if k not in differ} for each in NODES.values())
    assert one == other


def test_a_nodes_health_is_asked_for(configuration: Configuration) -> None:
    """The check of a node's health is a program in Python, of a path that the monitoring endpoint
    has, at the address where the configuration lets it listen."""
    test = NODES["a"]["healthcheck"]["test"]
    assert test[:3] == ["CMD", "python", "-c"]
    ast.parse(test[3])
    (found,) = re.findall(r'"(http://[^"]+)"', test[3])
    assert configuration.monitoring
    assert urlsplit(found).netloc == str(configuration.monitoring.listen)
    assert f'Route("{urlsplit(found).path}"' in Path(metrics.__file__).read_text()
    assert DATABASE["healthcheck"]["test"][1] == "pg_isready"


def test_the_image_is_made_of_what_there_is() -> None:
    """It copies the lock file of the package, which has the driver for PostgreSQL, and the wheel;
    nothing else is sent to the builder. It runs a command of ours, not as root, and its user owns
    every folder that a volume is mounted on."""
    (copied,) = re.findall(r"^COPY (packaging.*) /build/$", IMAGE, re.MULTILINE)
    sent = (FOLDER / "Containerfile.dockerignore").read_text().split()
    assert sent == ["*", *(f"!{each}" for each in reversed(copied.split()))]
    lock, _ = copied.split()
    assert re.search(r"^psycopg\[binary\]==", (ROOT / lock).read_text(), re.MULTILINE)
    assert "--require-hashes" in IMAGE
    (build,) = {str(each["build"]) for each in NODES.values()}
    assert (FOLDER / ast.literal_eval(build)["context"]).resolve() == ROOT
    assert (ROOT / ast.literal_eval(build)["dockerfile"]).samefile(FOLDER / "Containerfile")
    (user,) = re.findall(r"^USER (\w+)$", LAST_STAGE, re.MULTILINE)
    made = shlex.split(re.findall(r"install -d (.*)$", LAST_STAGE, re.MULTILINE)[0])
    assert made[made.index("-o") + 1] == user != "root"
    volumes = {where for each in NODES.values() for where in mounts(each)} - {"/etc/postmottak"}
    assert volumes == {each for each in made if each.startswith("/")}
    (program,), (command,) = (
        ast.literal_eval(re.findall(rf"^{name} (.*)$", LAST_STAGE, re.MULTILINE)[0])
        for name in ("ENTRYPOINT", "CMD")
    )
    assert (program, command in typer.main.get_group(app).commands) == ("postmottak", True)


def test_the_drop_in_fits(configuration: Configuration) -> None:
    """The example for systemd opens the same folders, and hands over the same secret, under the
    name that the configuration has for it."""
    found = dict(re.findall(r"^LoadCredential=(.*):/etc/postmottak/(.*)$", DROP_IN, re.MULTILINE))
    assert configuration.store.password_file
    name = configuration.store.password_file.path.name
    assert found == {name: name}
    opened = {*re.findall(r"^ReadWritePaths=-?(.*)$", DROP_IN, re.MULTILINE)}
    drops = {str(each.settings.path) for each in configuration.destinations}  # type: ignore[attr-defined]
    assert opened == {str(configuration.store.content), *drops}
    (mount,) = re.findall(r"^RequiresMountsFor=(.*)$", DROP_IN, re.MULTILINE)
    assert all(Path(each).is_relative_to(mount) for each in opened)
