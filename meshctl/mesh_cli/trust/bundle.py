"""What a command writes into a cluster's TrustBundle: always the whole spec, so that nothing is lost.

1. What is newer in the cluster than what a command brings stays: the number never goes back.
2. What peers have told the controller (status) counts like what was written here before, and is repeated.
3. A cluster takes another statement only when a root that it believes has signed it.

What an operator refuses here alone (`refusedHere`) has another owner and is not touched.
"""

import msgspec

from mesh_cli.session import FIELD_MANAGER
from mesh_core.errors import UserError
from mesh_core.names import TRUST_BUNDLE
from mesh_core.objects import TrustBundle
from mesh_core.objects.trust import TrustBundleSpec
from mesh_core.trust_body import Body
from mesh_core.trust_statement import BadTrust, Held
from mesh_runtime.kube import TRUST_BUNDLES, KubeClient
from mesh_runtime.trust_signing import taken_by


class WillNotFollow(UserError):
    """A cluster does not believe what it would be given."""

    def __init__(self, context: str, *, why: str) -> None:
        super().__init__(
            f"context {context} would not believe the newer trust bundle ({why})",
            next_step="compare meshctl trust status of the clusters, then join it again with the folder",
        )


def following(offered: Held, *, bundle: TrustBundle, context: str) -> Held:
    """What the cluster holds once it has taken from `offered` what is newer; raises WillNotFollow."""
    try:
        return taken_by(bundle, offered=offered)
    except BadTrust as error:
        raise WillNotFollow(context, why=error.what) from error


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
