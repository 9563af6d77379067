"""What the Altinn 2 mailbox is made of: its operations, answers unpacked to disk, faults in words, letters as it tells them."""
