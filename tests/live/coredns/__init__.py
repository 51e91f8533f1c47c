"""CoreDNS's own answer to the standard, its `multicluster` option, and ours over the same objects."""
