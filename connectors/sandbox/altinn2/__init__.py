"""A simulated Altinn 2."""
