"""Registration of clusters, the way to them, and what is distributed to them: an optional module.

The hub's half (`hub`, `access`) and the member's half (`agent`) meet only in objects of the hub's API server;
what they decide is in `decide`, which is pure. The mesh works without any of it.
"""
