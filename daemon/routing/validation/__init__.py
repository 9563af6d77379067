"""What is wrong with a routing table, and what probably is."""
