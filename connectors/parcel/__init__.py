"""A parcel made readable for people, and verified."""
