"""What documents say about the systemd unit and the released version is what those files say."""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "systemd/postmottak.service"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
_PER_INSTALLATION = {"Environment", "ReadWritePaths", "RequiresMountsFor", "SupplementaryGroups"}
"""Directives that an installation adds; `shares.conf` and a drop-in hold them, not the unit."""
_SETTING = re.compile(r"(?<![\w.-])([A-Z]\w*[a-z]\w*)=(\S*)")


def _directives() -> dict[str, set[str]]:
    found = defaultdict(set)
    for line in UNIT.read_text(encoding="utf-8").splitlines():
        key, sign, value = line.partition("=")
        if sign and not line.startswith("#"):
            found[key].add(value)
    return found


def _quoted() -> Iterator[tuple[str, str, str]]:
    """Document, directive and value, wherever a document writes `Key=` or `Key=value` as code."""
    for page in DOCUMENTS:
        text = page.read_text(encoding="utf-8")
        blocks = re.findall(r"^ *```ini\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
        spans = re.findall(r"`([^`\n]+)`", text)
        for code in (*blocks, *spans):
            yield from ((page.name, *setting) for setting in _SETTING.findall(code))


def test_documents_quote_the_unit_as_it_is() -> None:
    """A directive that a document names is in the unit, with that value."""
    unit = _directives()
    quoted = list(_quoted())
    assert {key for _, key, _ in quoted} >= {"Restart", "LimitNOFILE"}
    wrong = [
        (page, key, value)
        for page, key, value in quoted
        if key not in _PER_INSTALLATION | {"LoadCredential"}
        if key not in unit or (value and value not in unit[key])
    ]
    assert wrong == []
    assert {key for _, key, _ in quoted} - set(unit) <= _PER_INSTALLATION


def test_the_newest_release_is_the_version_of_the_package() -> None:
    """The changelog's first release is what the package calls itself, and the releases descend."""
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## \[(.+?)\](?: - (\d{4}-\d{2}-\d{2}))?$", changelog, re.MULTILINE)
    assert len(headings) == len(re.findall(r"^## ", changelog, re.MULTILINE))
    assert headings[0] == ("Unreleased", "")
    releases = [(tuple(map(int, version.split("."))), day) for version, day in headings[1:]]
    assert releases == sorted(releases, reverse=True)
    assert all(day for _, day in releases)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert headings[1][0] == project["version"]


def test_changelog_sections_are_those_of_keep_a_changelog() -> None:
    """Each release has the agreed kinds of changes, each once, in the agreed order."""
    kinds = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
    releases = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").split("\n## ")[1:]
    for release in releases:
        found = re.findall(r"^### (.+)$", release, re.MULTILINE)
        assert found == [kind for kind in kinds if kind in found]
