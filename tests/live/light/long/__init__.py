"""What builds a large tool first, Helm itself: `make test-long` only."""
