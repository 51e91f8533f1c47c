"""I/O without policy: the API server, watch caches, work queues, TLS, health, log, progress."""
