"""Renews the files of others that the page serves, and axe for its tests: `make vendor`.

Needs npm. Each package is taken at the version below; its licence comes along, and vendor.toml has
name, version, licence and the SHA-256 of each file. A test compares them.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

HOME = Path(__file__).parents[1]
STATIC = HOME / "daemon/page/static/vendor"
TESTS = HOME / "tests/browser/vendor"


@dataclass(frozen=True, kw_only=True)
class Package:
    """A package of npm's registry, and which of its files go where under which names."""

    name: str
    version: str
    licence: str
    files: dict[str, str]
    folder: Path = STATIC


PACKAGES = (
    Package(
        name="htmx.org", version="4.0.1", licence="0BSD", files={"dist/htmx.min.js": "htmx.js"}
    ),
    Package(
        name="@digdir/designsystemet-css",
        version="1.22.0",
        licence="MIT",
        files={
            "dist/src/index.css": "designsystemet.css",
            "dist/theme/designsystemet.css": "designsystemet-theme.css",
        },
    ),
    Package(
        name="axe-core",
        version="4.14.1",
        licence="MPL-2.0",
        files={"axe.min.js": "axe.js"},
        folder=TESTS,
    ),
)


def main() -> None:
    """Write every file, its package's licence, and a list for each folder."""
    for folder in (STATIC, TESTS):
        folder.mkdir(parents=True, exist_ok=True)
        listed = [renew(each) for each in PACKAGES if each.folder == folder]
        (folder / "vendor.toml").write_text("\n".join(listed), encoding="utf-8")


def renew(package: Package) -> str:
    """Write the package's files; return its part of the list."""
    content = packed(package)
    lines = [
        "[[package]]",
        f'name = "{package.name}"',
        f'version = "{package.version}"',
        f'licence = "{package.licence}"',
    ]
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        licence = f"{package.name.rpartition('/')[2]}.LICENSE"
        for inside, name in {**package.files, "LICENSE": licence}.items():
            found = archive.extractfile(f"package/{inside}")
            assert found, inside
            data = found.read()
            (package.folder / name).write_bytes(data)
            lines.append(f'sha256."{name}" = "{hashlib.sha256(data).hexdigest()}"')
    return "\n".join(lines) + "\n"


def packed(package: Package) -> bytes:
    """Return the package's archive from the registry."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(  # noqa: S603  # the names are above
            ["npm", "pack", "--silent", f"{package.name}@{package.version}"],  # noqa: S607
            cwd=folder,
            check=True,
        )
        return next(Path(folder).glob("*.tgz")).read_bytes()


if __name__ == "__main__":
    main()
