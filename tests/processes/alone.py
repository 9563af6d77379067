"""Calls a function in a process of its own with one thread, as the service forks its worker
process: a test runner has more."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class Called:
    """The result: what the function returned, and everything that was written to stderr."""

    result: Any
    errors: str


def call_alone(module: str, function: str, *arguments: object) -> Called:
    """Call the function with strings; it returns what JSON can say."""
    command = [
        sys.executable,
        "-m",
        "tests.processes.alone",
        module,
        function,
        *map(str, arguments),
    ]
    ended = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 0, ended.stderr
    return Called(result=json.loads(ended.stdout.splitlines()[-1]), errors=ended.stderr)


if __name__ == "__main__":
    result = getattr(importlib.import_module(sys.argv[1]), sys.argv[2])(*sys.argv[3:])
    sys.stdout.write(f"\n{json.dumps(result)}\n")
