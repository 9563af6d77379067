"""What the pages about deliveries share: what can be done to them, and what is shown of them."""
