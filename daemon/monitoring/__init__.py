"""What is wrong, and who is notified."""
