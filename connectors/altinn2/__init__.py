"""The parts of the Altinn 2 mailbox: operations, unpacking, faults, and letters."""
