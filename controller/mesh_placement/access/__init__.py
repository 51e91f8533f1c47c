"""The way to the API servers of members: one path for all of them, as the user that asked."""
