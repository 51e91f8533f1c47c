"""`meshctl peers`: how each member stands with each of its peers."""
