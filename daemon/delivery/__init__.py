"""From the store to destinations: dispatch, attempts, retries, throttles, marks and pickups."""
