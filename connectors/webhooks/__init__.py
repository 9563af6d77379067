"""The webhook: the settings of the receiver, and what is sent to it."""
