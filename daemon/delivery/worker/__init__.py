"""The worker process, which delivers to destinations on this machine."""
