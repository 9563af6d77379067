"""File drops: folders where letters are left for another program, on a disk or behind a server."""
