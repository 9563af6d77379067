"""The composition root: the service's parts, their start, their threads and their end."""
