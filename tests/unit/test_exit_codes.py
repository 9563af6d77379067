"""Exit codes are promises to scripts: each has a name, and the man page and the documents list
all."""

from __future__ import annotations

import ast
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import daemon.cli
from daemon.cli.output import Exit

ROOT = Path(__file__).parents[2]
_ENDINGS = {"typer.Exit", "sys.exit", "os._exit", "SystemExit", "Exit"}
_COMPUTED = {
    "code",  # `_end` in `daemon.cli`: an `Exit`
    "report(options(context).config)",  # `status --monitor`: 0 to 3, tested with the command
    "_poll_exit(summary, called_off=stopping.is_set())",  # returns an `Exit`
    "plugins.sandbox('demo').run(letters=letters, keep=keep)",  # 0, or 1 where the demo failed
}


def _codes(tree: ast.Module) -> Iterator[ast.expr]:
    """Yield every expression that a command's exit code comes from."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in _ENDINGS and node.args:
            found = node.args[0]
            yield from (found.body, found.orelse) if isinstance(found, ast.IfExp) else (found,)


def test_every_exit_code_has_a_name() -> None:
    """No command ends with a number of its own: every code is a member of `Exit`."""
    names = {f"Exit.{each.name}" for each in Exit}
    unnamed = [
        f"{path.name}: {ast.unparse(code)}"
        for path in sorted(Path(daemon.cli.__file__).parent.glob("*.py"))
        for code in _codes(ast.parse(path.read_text(encoding="utf-8")))
        if ast.unparse(code) not in names | _COMPUTED
    ]
    assert unnamed == []


def test_codes_of_signals_are_those_of_the_shell() -> None:
    """A command that a signal ends has the code that a shell reports: 128 and the signal."""
    assert Exit.INTERRUPTED == 128 + signal.SIGINT
    assert Exit.READER_GONE == 128 + signal.SIGPIPE


@pytest.fixture(scope="module")
def man_page() -> str:
    """The man page, as the package's build makes it."""
    made = subprocess.run(
        [sys.executable, "packaging/manpage.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
    )
    return made.stdout


def test_the_man_page_lists_every_exit_code(man_page: str) -> None:
    """The man page has each exit code once, with what it means."""
    section = man_page.split(".SH EXIT STATUS\n")[1].split(".PP\n", maxsplit=1)[0]
    listed = re.findall(r"^\.B (\d+)\n(.+)$", section, re.MULTILINE)
    assert [int(code) for code, _ in listed] == [each.value for each in Exit]
    assert all(meaning.endswith(".") for _, meaning in listed)


def test_the_man_page_lists_groups_that_are_commands(man_page: str) -> None:
    """What can be run by itself and has commands of its own is there, beside these."""
    for command in ("nodes", "nodes forget", "db upgrade", "store move", "store reopen"):
        assert f".SS postmottak {command} " in man_page


def test_the_man_page_lists_the_codes_for_monitors(man_page: str) -> None:
    """The codes of `status --monitor`, which mean something else, are listed apart."""
    section = man_page.split(".SH EXIT STATUS\n")[1].split(".SH ", maxsplit=1)[0]
    monitors = section.split(".PP\n")[1]
    assert "\\-\\-monitor" in monitors
    assert re.findall(r"^\.B (\d)\n(\w+):", monitors, re.MULTILINE) == [
        ("0", "OK"),
        ("1", "Warning"),
        ("2", "Critical"),
        ("3", "Unknown"),
    ]


def test_the_documents_list_every_exit_code() -> None:
    """`docs/operating.md` has a row for each exit code."""
    text = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    section = text.split("## Exit codes\n")[1].split("\n## ")[0]
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)] == [
        each.value for each in Exit
    ]


def test_the_module_that_ends_commands_documents_every_exit_code() -> None:
    """The docstring of `daemon.cli` names every code."""
    described = (daemon.cli.__doc__ or "").split("Exit codes")[1]
    assert {int(code) for code in re.findall(r"\b\d+\b", described)} == {
        each.value for each in Exit
    }
