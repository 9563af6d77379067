"""The other side of each connector, on loopback: for the demo, for tests and for integrators."""
