"""What stands between a browser and the pages: who is it, and may it."""
