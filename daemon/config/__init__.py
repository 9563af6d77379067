"""Reading postmottak.toml, and saying what is wrong and where."""
