"""What people expect of any command: its version, its help, completion, and a quiet log."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
import typer

from daemon import cli
from daemon.cli import completion
from daemon.core.model import DeliveryState
from tests.unit.conftest import ROOT
from tests.unit.service.conftest import Command, with_letters


def _every_command(command: typer.core.TyperGroup, place: tuple[str, ...] = ()) -> list[list[str]]:
    found = []
    for name, each in command.commands.items():
        found.append([*place, name])
        if isinstance(each, typer.core.TyperGroup):
            found += _every_command(each, (*place, name))
    return found


EVERY = _every_command(typer.main.get_group(cli.app))


def test_the_version(command: Command) -> None:
    """`--version` prints the installed version, and needs no configuration."""
    ended = command("--version")
    assert (ended.code, ended.out) == (0, f"postmottak {version('postmottak')}\n")


def test_short_help_everywhere(command: Command) -> None:
    """Every command and every group takes `-h`."""
    assert len(EVERY) > 30
    for words in EVERY:
        ended = command(*words, "-h")
        assert (ended.code, ended.out.split()[:2]) == (0, ["Usage:", "postmottak"]), words


@pytest.mark.parametrize(("options", "shown"), [((), 0), (("-v",), 2), (("--quiet",), 0)])
def test_no_log_line_over_an_answer(
    command: Command, configure: Callable[[str, str], None], options: tuple[str, ...], shown: int
) -> None:
    """What is done as it should be is not logged over an answer, unless `-v` asks for it."""
    with_letters(configure)
    ended = command(*options, "poll", "--json")
    assert ended.json["delivered"] == 2
    assert ended.err.count("event='delivery attempted'") == shown
    assert ("level=" in ended.err) == bool(shown)


@pytest.mark.parametrize(("options", "shown"), [((), True), (("--quiet",), False)])
def test_a_warning_beside_an_answer(
    command: Command,
    configure: Callable[[str, str], None],
    options: tuple[str, ...],
    *,
    shown: bool,
) -> None:
    """A warning is logged beside the answer, unless `-q` refuses it."""
    configure('poll_every = "1h"', 'poll_every = "1h"\naway = true')
    ended = command(*options, "poll")
    assert ended.code == 4
    assert ("level='warning'" in ended.err) == shown


def test_verbose_and_quiet(command: Command) -> None:
    """Both at a time is wrong usage."""
    ended = command("-v", "-q", "status")
    assert (ended.code, ended.out) == (2, "")
    assert "either --verbose or --quiet" in ended.err


@pytest.mark.parametrize("shell", list(completion.Shell))
def test_a_completion_script(command: Command, shell: str) -> None:
    """Each shell's script asks `postmottak`, and names no path of this machine."""
    ended = command("completion", shell)
    assert ended.code == 0
    assert f"_POSTMOTTAK_COMPLETE=complete_{shell}" in ended.out
    assert "/home" not in ended.out


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("postmottak mess", ["messages"]),
        ("postmottak deliveries list --sta", ["--state"]),
        ("postmottak deliveries list --state de", ["delivered", "dead"]),
        ("postmottak messages list --service 5504", ["5504/1"]),
        ("postmottak -c FILE deliveries retry --destination e", ["erp"]),
        ("postmottak -c FILE messages route 1234 --to re", ["regnskap"]),
        ("postmottak -c missing.toml deliveries retry --destination e", []),
    ],
)
def test_what_a_shell_completes(
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    configuration_file: Path,
    line: str,
    values: list[str],
) -> None:
    """A shell that asks gets commands, options, and the values that are known without the store."""
    line = line.replace("FILE", str(configuration_file))
    monkeypatch.setenv("_POSTMOTTAK_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split()) - 1))
    assert command().out.split() == values


def test_bash_takes_the_script(tmp_path: Path) -> None:
    """bash reads the script without a complaint, and knows the command afterwards."""
    (tmp_path / "postmottak").write_text(completion.script(completion.Shell.BASH))
    ended = subprocess.run(
        ["bash", "--norc", "-ec", f"source {tmp_path}/postmottak; complete -p postmottak"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "_postmottak_completion postmottak" in ended.stdout


def test_the_states_that_are_completed() -> None:
    """The states that a shell completes are those that there are."""
    assert tuple(DeliveryState) == completion.STATES


@pytest.mark.parametrize(
    ("port", "code", "words"),
    [
        ("BUSY", 1, "cannot be used: address already in use; choose another with --port"),
        ("99999", 2, "should be less than or equal to 65535"),
        ("-1", 2, "should be greater than or equal to 0"),
    ],
)
def test_a_port_that_cannot_be_used(
    command: Command, tmp_path: Path, port: str, code: int, words: str
) -> None:
    """A port that another program has, or that there is not, is named without a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        busy = str(other.getsockname()[1])
        ended = command("sandbox", "--port", port.replace("BUSY", busy), "--folder", str(tmp_path))
    assert (ended.code, ended.out) == (code, "")
    assert words in " ".join(ended.err.split())


def test_a_sandbox_folder_that_cannot_be_written(command: Command, tmp_path: Path) -> None:
    """A folder that cannot be made is named without a traceback."""
    (tmp_path / "file").touch()
    ended = command("sandbox", "--folder", str(tmp_path / "file" / "folder"))
    assert (ended.code, ended.out) == (1, "")
    assert "cannot be written: not a directory; choose another with --folder" in ended.err


def test_the_package_installs_completion(tmp_path: Path) -> None:
    """The package's build writes the scripts where the three shells look, for zsh with its header
    in the first line."""
    build = (ROOT / "packaging" / "debian" / "build.sh").read_text(encoding="utf-8")
    assert 'packaging/completions.py "$root/usr/share"' in build
    subprocess.run(
        [sys.executable, "packaging/completions.py", str(tmp_path)],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        check=True,
    )
    written = {str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*") if each.is_file()}
    assert written == {
        "bash-completion/completions/postmottak",
        "zsh/vendor-completions/_postmottak",
        "fish/vendor_completions.d/postmottak.fish",
    }
    zsh = (tmp_path / "zsh/vendor-completions/_postmottak").read_text(encoding="utf-8")
    assert zsh.startswith("#compdef postmottak\n")
