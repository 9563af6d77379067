"""The network for every connector: HTTP client, connections, limits, TLS, diagnostics."""
