"""Where letters come from."""
