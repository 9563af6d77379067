"""What documents say about the systemd unit and the released version is what those files say."""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "systemd/postmottak.service"
PAGE = ROOT / "systemd/postmottak-web.service"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
_PER_INSTALLATION = {"Environment", "ReadWritePaths", "RequiresMountsFor", "SupplementaryGroups"}
"""Directives that an installation adds; `shares.conf` and a drop-in hold them, not the unit."""
_SETTING = re.compile(r"(?<![\w.-])([A-Z]\w*[a-z]\w*)=(\S*)")


def _directives(*units: Path) -> dict[str, set[str]]:
    found = defaultdict(set)
    for line in "\n".join(each.read_text(encoding="utf-8") for each in units).splitlines():
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
    """A directive that a document names is in one of the units, with that value."""
    unit = _directives(UNIT, PAGE)
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


def test_the_page_is_as_confined_as_the_service() -> None:
    """The page's unit has every restriction of the service's, its user and its store, and none of
    its credentials; only the folder of a published routing table is writable besides."""
    service, page = _directives(UNIT), _directives(PAGE)
    own = {"Description", "After", "Type", "ExecStart", "Restart", "TimeoutStopSec"}
    only_service = {"NotifyAccess", "ExecReload", "WatchdogSec", "TimeoutStartSec"}
    unlike = {key for key in service if key not in own and page.get(key) != service[key]}
    assert unlike == only_service | {"LoadCredential", "RuntimeDirectory", "SystemCallFilter"}
    assert service["SystemCallFilter"] - page["SystemCallFilter"] == {"sched_setaffinity"}
    assert not {key for key in page if "Credential" in key}
    assert page["ReadWritePaths"] == {"-/etc/postmottak/routing"}
    assert set(page) - set(service) == {"ReadWritePaths"}


def test_the_package_brings_both_units() -> None:
    """Both units are in the Debian package; its scripts stop both, and start again what ran."""
    debian = ROOT / "packaging/debian"
    build = (debian / "build.sh").read_text(encoding="utf-8")
    for unit in (UNIT, PAGE):
        assert f"systemd/{unit.name} " in build
    for script in ("postinst", "prerm"):
        units = re.findall(r"for unit in (.+); do", (debian / script).read_text(encoding="utf-8"))
        assert [set(each.split()) for each in units] == [{UNIT.stem, PAGE.stem}]
    folders = (ROOT / "systemd/postmottak.tmpfiles").read_text(encoding="utf-8")
    assert "\nd /etc/postmottak/routing 2750 postmottak postmottak -\n" in folders


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
