"""The rules of the house: where files lie, how they are named, how long they get, and how they
speak."""

from __future__ import annotations

import ast
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for top in ("daemon", "connectors") for path in (ROOT / top).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
_NAMED_BY_PORT = {"Settings"}  # what a connector's module must call its settings
_LONGEST_FILE, _LONGEST_FUNCTION, _MEDIAN, _P90 = 400, 60, 8, 20


def _trees() -> Iterator[tuple[Path, ast.Module]]:
    for path in SOURCES:
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def test_no_module_lies_loose() -> None:
    """Every module is in the folder of its part of a letter's way."""
    loose = [path.name for top in ("daemon", "connectors") for path in (ROOT / top).glob("*.py")]
    assert set(loose) == {"__init__.py"}


def test_contracts_name_folders_only() -> None:
    """The import contracts need no edit when a file is added."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    named: set[str] = set()
    for contract in settings["tool"]["importlinter"]["contracts"]:
        for container in contract.get("containers", []):
            layers = (name.strip() for layer in contract["layers"] for name in layer.split(":"))
            named.update(f"{container}.{name}" for name in layers)
        for key in ("modules", "source_modules", "forbidden_modules"):
            named.update(name.removesuffix(".*") for name in contract.get(key, []))
    assert named
    assert {name for name in named if not (ROOT / name.replace(".", "/")).is_dir()} == set()


def test_no_class_name_stands_for_two_things() -> None:
    """A class name in a log, a traceback or a search leads to one place."""
    places = defaultdict(set)
    for path, tree in _trees():
        if "sandbox" not in path.parts:
            for node in ast.walk(tree):
                if isinstance(node, ast.ClassDef) and node.name not in _NAMED_BY_PORT:
                    places[node.name].add(str(path.relative_to(ROOT)))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_functions_and_files_stay_short() -> None:
    """Half of the functions have at most 8 lines, nine of ten at most 20, none over 60; no file,
    tests included, has over 400."""
    lengths: dict[str, int] = {}
    for path, tree in _trees():
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                and "migrations" not in path.parts
            ):
                assert node.end_lineno
                lengths[f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"] = (
                    node.end_lineno - node.lineno + 1
                )
    assert {name: length for name, length in lengths.items() if length > _LONGEST_FUNCTION} == {}
    assert median(lengths.values()) <= _MEDIAN
    assert quantiles(lengths.values(), n=10)[-1] <= _P90
    files = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in (*SOURCES, *TESTS)
    }
    assert {name: lines for name, lines in files.items() if lines > _LONGEST_FILE} == {}
