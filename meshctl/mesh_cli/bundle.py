"""What a command writes into a cluster's TrustBundle: always the whole spec, so that nothing is lost.

1. What is newer in the cluster than what a command brings stays: the number never goes back.
2. What peers have told the controller (status) counts like what was written here before, and is repeated.
3. A cluster takes another statement only when a root that it believes has signed it.

What an operator refuses here alone (`refusedHere`) has another owner and is not touched.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from mesh_cli.session import FIELD_MANAGER
from mesh_core.errors import UserError
from mesh_core.identity import Domain
from mesh_core.names import TRUST_BUNDLE
from mesh_core.objects import TrustBundle
from mesh_core.objects.trust import Signed, TrustBundleSpec
from mesh_core.trust_statement import BadTrust, Held, held_by, newer_of
from mesh_runtime.kube import TRUST_BUNDLES, KubeClient
from mesh_runtime.trust_signing import accepted_revocations, accepted_statement

# A JSON object for the API server.
Body = Mapping[str, Any]


class WillNotFollow(UserError):
    """A cluster does not believe what it would be given."""

    def __init__(self, context: str, *, why: str) -> None:
        super().__init__(
            f"context {context} would not believe the newer trust bundle ({why})",
            next_step="compare meshctl trust status of the clusters, then join it again with the folder",
        )


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
        "statement": _plain(held.signed_statement),
    }
    if held.signed_revocations is not None:
        spec["revocations"] = _plain(held.signed_revocations)
    kept = before.spec.pool if before is not None else ""
    spec |= {"pool": found} if (found := kept if pool is None else pool) else {}
    return {"metadata": {"name": TRUST_BUNDLE}, "spec": spec}


def following(offered: Held, *, bundle: TrustBundle, context: str) -> Held:
    """What the cluster holds once it has taken from `offered` what is newer; raises WillNotFollow."""
    held, spec = held_by(bundle), bundle.spec
    try:
        if offered.signed_statement is not None and offered.generation > held.generation:
            if held.statement is None and offered.generation <= spec.generation:
                raise BadTrust(
                    f"generation {offered.generation} is not newer than its unsigned bundle {spec.generation}"
                )
            accepted_statement(
                offered.signed_statement, held=held, domain=_domain(bundle), roots=spec.roots, pins=spec.pins
            )
        taken = newer_of(held, Held(offered.statement, offered.signed_statement))
        if offered.signed_revocations is not None and offered.revision > held.revision:
            accepted_revocations(offered.signed_revocations, held=taken)
    except BadTrust as error:
        raise WillNotFollow(context, why=error.what) from error
    return newer_of(held, offered)


async def write_bundle(client: KubeClient, body: Body, *, before: TrustBundle | None) -> bool:
    """Apply the body unless the spec says all of it already; whether anything was written."""
    if before is not None and _says(before, body):
        return False
    after = await client.apply(TRUST_BUNDLES, body, field_manager=FIELD_MANAGER)
    if after.spec.pool and "pool" not in body["spec"]:
        # Left out is not removed where somebody else has written it.
        await client.merge_patch(TRUST_BUNDLES, TRUST_BUNDLE, {"spec": {"pool": None}})
    return True


def _says(bundle: TrustBundle, body: Body) -> bool:
    wanted = msgspec.convert(body["spec"], TrustBundleSpec)
    # Of other owners: what is refused here alone, and the pins of an invitation.
    return bundle.spec == msgspec.structs.replace(
        wanted, refused_here=bundle.spec.refused_here, pins=bundle.spec.pins
    )


def _plain(signed: Signed) -> dict[str, Any]:
    signatures = [{"key": one.key, "value": one.value} for one in signed.signatures]
    return {"text": signed.text, "signatures": signatures}


def _domain(bundle: TrustBundle) -> Domain:
    return Domain(bundle.spec.domain)
