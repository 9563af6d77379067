"""Archive formats and the readable PDF of a drop."""
