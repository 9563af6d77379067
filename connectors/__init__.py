"""What Postmottak talks to: one file for each kind of mailbox and destination, found by name."""
