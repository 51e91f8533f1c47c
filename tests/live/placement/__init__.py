"""Registration and distribution on light clusters: what only a real API server shows."""
