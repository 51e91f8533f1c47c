"""What is written into a TrustBundle: always the whole spec, so that nothing is lost.

What an operator refuses in one cluster alone (`refusedHere`) has another owner and is not written here.
"""

from collections.abc import Mapping
from typing import Any

from mesh_core.identity import Domain
from mesh_core.names import TRUST_BUNDLE
from mesh_core.objects import TrustBundle
from mesh_core.objects.trust import Signed
from mesh_core.trust_statement import Held

# A JSON object for the API server; its values are whatever JSON has, hence Any.
Body = Mapping[str, Any]


def open_body(domain: Domain, *, roots: tuple[str, ...], before: TrustBundle | None) -> Body:
    """The TrustBundle of a first member while nothing is signed yet: the roots alone."""
    generation = before.spec.generation if before is not None else 0
    spec: dict[str, Any] = {"domain": domain, "generation": generation, "roots": list(roots)}
    return {"metadata": {"name": TRUST_BUNDLE}, "spec": spec}


def signed_body(held: Held, *, before: TrustBundle | None, pool: str | None = None) -> Body:
    """The TrustBundle with these texts; `pool` None keeps the one that the cluster is in."""
    statement = held.statement
    assert statement is not None and held.signed_statement is not None
    spec: dict[str, Any] = {
        "domain": statement.domain,
        "generation": statement.generation,
        "roots": [root.certificate for root in statement.roots],
        "statement": plain_signed(held.signed_statement),
    }
    if held.signed_revocations is not None:
        spec["revocations"] = plain_signed(held.signed_revocations)
    kept = before.spec.pool if before is not None else ""
    spec |= {"pool": found} if (found := kept if pool is None else pool) else {}
    return {"metadata": {"name": TRUST_BUNDLE}, "spec": spec}


def plain_signed(signed: Signed) -> dict[str, Any]:  # Any: as above
    """A signed text as JSON has it."""
    signatures = [{"key": one.key, "value": one.value} for one in signed.signatures]
    return {"text": signed.text, "signatures": signatures}
