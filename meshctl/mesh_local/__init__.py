"""Real Kubernetes clusters on this machine: programs, images, namespaces, servers, and their end.

Ways in: `up.up`, `down.down`, `status.look`, `load.load`, `kubectl.kubectl_command`, `prepare.prepare`,
and the four images of `images`. A set of clusters is known by its folder alone.
"""
