"""A test of a drop, where its consumer is quick or the drop fails in the middle of it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from connectors.destinations import filedrop
from connectors.drops.layouts import FlatLayout, FolderLayout
from daemon.core.errors import TemporaryFailure
from daemon.core.ports import SendsTests
from daemon.delivery.sample_parcel import TITLE, sample_parcel
from tests.parcels import MOMENT

SAMPLE = sample_parcel("erp", b"%PDF", MOMENT)


def destination(folder: Path, layout: str) -> SendsTests:
    found = filedrop.connect(
        "erp", filedrop.Settings.model_validate({"path": folder, "layout": layout})
    )
    assert isinstance(found, SendsTests)
    return found


def test_a_consumer_that_is_quick_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a consumer takes the test before it is read, the operator hears that it works; what the
    consumer got says that it is a test."""
    real = FolderLayout.holds

    def taken(*arguments: Any) -> bool:
        (folder,) = (each for each in tmp_path.iterdir() if not each.name.startswith("."))
        assert TITLE in (folder / "message.json").read_text(encoding="utf-8")
        shutil.rmtree(folder)
        return real(*arguments)

    monkeypatch.setattr(FolderLayout, "holds", taken)
    assert "took it at once" in destination(tmp_path, "folder").send_test(SAMPLE)
    assert list(tmp_path.iterdir()) == []


def test_a_drop_that_fails_after_the_test_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure is shown as itself, and what can be cleared away is."""

    def fail(*_: Any) -> bool:
        raise TemporaryFailure("the server has gone")

    monkeypatch.setattr(FlatLayout, "holds", fail)
    with pytest.raises(TemporaryFailure, match="has gone"):
        destination(tmp_path, "flat").send_test(SAMPLE)
    assert list(tmp_path.iterdir()) == []
