"""Write the completion scripts where bash, zsh and fish look for those of a package."""

from __future__ import annotations

import sys
from pathlib import Path

from daemon.cli.completion import Shell, script

_PLACES = {
    Shell.BASH: "bash-completion/completions/postmottak",
    Shell.ZSH: "zsh/vendor-completions/_postmottak",
    Shell.FISH: "fish/vendor_completions.d/postmottak.fish",
}
"""Below /usr/share, as Debian's packages of the three have them."""


def write(share: Path) -> None:
    """Write each script below the folder."""
    for shell, place in _PLACES.items():
        (share / place).parent.mkdir(parents=True, exist_ok=True)
        (share / place).write_text(f"{script(shell)}\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
