"""Web endpoints for programs in the organisation's own network."""
