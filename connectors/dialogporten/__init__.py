"""Dialogporten as a recipient uses it: a cheap bell for every letter, and letters of its own."""
