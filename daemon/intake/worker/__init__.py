"""Worker processes, which fetch letters, store them, and drop them on this machine."""
