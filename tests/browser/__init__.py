"""Pages in a real browser, over API servers that only keep objects."""
