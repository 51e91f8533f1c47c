"""What waits for a member that is dead: `make test-long` only."""
