"""`meshctl verify`: does the mesh between clusters work, from pod to pod, by trying it."""
