"""Servers that take deliveries: mail, webhook, SOAP."""
