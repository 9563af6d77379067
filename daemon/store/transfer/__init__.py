"""Takes a store from one database to another, of either kind, row by row as it is."""
