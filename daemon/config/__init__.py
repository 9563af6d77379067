"""Read postmottak.toml, and report what is wrong and where."""
