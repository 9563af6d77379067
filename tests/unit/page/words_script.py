"""packaging/words.py as a module; PyPI's `packaging` owns its folder's name."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location

from tests.unit.conftest import ROOT

_spec = spec_from_file_location("words", ROOT / "packaging/words.py")
assert _spec
assert _spec.loader
words = module_from_spec(_spec)
_spec.loader.exec_module(words)
