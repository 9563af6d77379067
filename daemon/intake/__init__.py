"""From a mailbox to the store: poll, fetch, reconcile, and where a letter goes."""
