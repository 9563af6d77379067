"""The page: letters, deliveries and the routing table for people, in a browser."""
