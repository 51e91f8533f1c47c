"""`meshctl events`: what changed about our objects, in all clusters, by time."""
