"""The parts of the Altinn 3 mailbox: calls with tokens, complete listings, letters, discovery."""
