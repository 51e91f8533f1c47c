"""What needs an API server and no kubelet: all of it on one light cluster, which starts in seconds."""
