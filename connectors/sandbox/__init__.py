"""A simulated server for each connector, on loopback: for the demo, tests and integrators."""
