"""The Multi-Cluster Services API, clause by clause, on two real clusters: by gateways, and on one network.

`clauses` lists what is asked, `README.md` says which test asks it. A mode's scene is set up at once (`scene`,
from `services` and `pods`); then nearly all tests only read, call, or change a Service that is theirs alone.
"""
