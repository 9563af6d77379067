"""The webhook, in its parts: what an operator writes about the receiver, and what the receiver is sent."""
