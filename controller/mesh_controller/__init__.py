"""The controller of a cluster: it exports, imports, talks to the controllers of peers, and signs leaves.

One loop a file, and each of them looks (at the caches), thinks (`mesh_core`) and acts (a plan). How they
are put together is in `controller`.
"""
