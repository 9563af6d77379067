"""The sentences that the checks of the routing table can say, read from their source."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.unit.conftest import ROOT

SOURCES = (
    *sorted((ROOT / "daemon/routing/validation").glob("*.py")),
    *(ROOT / f"daemon/routing/spreadsheet/{name}.py" for name in ("cells", "files", "grids")),
    *(ROOT / f"daemon/routing/spreadsheet/{name}.py" for name in ("quoting", "reading")),
    *(ROOT / f"daemon/routing/spreadsheet/{name}.py" for name in ("remarks", "sheet_faults")),
    *(ROOT / f"daemon/routing/{name}.py" for name in ("rows", "table", "lint")),
    ROOT / "daemon/routing/spreadsheet/workbook.py",
    ROOT / "daemon/config/faults.py",
    *sorted((ROOT / "daemon/page/editing").glob("*.py")),
    *sorted((ROOT / "daemon/page/views/routing").glob("*.py")),
)
_SAYS = frozenset(
    {
        "add",
        "warn",
        "Fault",
        "sheet_fault",
        "Unreadable",
        "Remark",
        "_add",
        "OperatorError",
        "_fault",
    }
)
_NAMES = frozenset({"problem", "remedy", "what", "_EXPORT"})


def sentences() -> Iterator[str]:
    """Yield each sentence, with `X1` and so on where it has a value."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for each in _said_by(node):
                yield from _texts(each)
            if isinstance(node, ast.Call) and _name(node.func) == "ValueError":
                for text in _texts(*node.args[:1]):
                    problem, _, remedy = text.partition("; ")
                    yield problem
                    yield remedy[:1].upper() + remedy[1:]


def _said_by(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Call) and _name(node.func) in _SAYS:
        yield from (*node.args, *(word.value for word in node.keywords))
    elif isinstance(node, ast.Assign) and _name(node.targets[0]) in _NAMES:
        yield node.value
    elif isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
        yield from node.value.elts
    elif isinstance(node, ast.Dict):
        pairs = (each.elts for each in node.values if isinstance(each, ast.Tuple))
        yield from (part for pair in pairs for part in pair)


def _name(node: ast.AST) -> str:
    return str(getattr(node, "attr", getattr(node, "id", "")))


def _texts(*nodes: ast.AST) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(
                str(each.value) if isinstance(each, ast.Constant) else f"X{number}"
                for number, each in enumerate(node.values)
            )
        elif isinstance(node, ast.BinOp):  # a sentence, and what is added to it
            for text in _texts(node.left):
                yield from (text + more for more in _texts(node.right))
        elif isinstance(node, ast.IfExp):
            yield from _texts(node.body, node.orelse)
