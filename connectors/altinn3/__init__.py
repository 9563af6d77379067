"""What the Altinn 3 mailbox is made of: calls with tokens, complete listings, letters as Altinn tells them, discovery."""
