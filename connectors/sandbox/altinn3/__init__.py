"""A simulated Altinn 3 with Maskinporten."""
