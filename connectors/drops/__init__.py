"""File drops: where letters are laid down for somebody to fetch, on a disk or behind a server, all of them by the same rules."""
