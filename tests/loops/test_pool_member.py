"""A cluster that an issuer let in: controller and gateways have names in the pool, and the whole chain."""

import asyncio
from datetime import timedelta

import msgspec
import pytest

from mesh_core.identity import Component, Identity, cluster_id
from mesh_core.names import GATEWAY, PROPERTY_CLUSTER_ID, SYSTEM_NAMESPACE, TRUST_BUNDLE
from mesh_core.objects.trust import Statement
from mesh_fakes.controller_trust import MANAGER, TrustScene, trust_scene
from mesh_fakes.waiting import until
from mesh_runtime.intermediate import stored_certificate
from mesh_runtime.kube import CLUSTER_PROPERTIES, CSRS, TRUST_BUNDLES, Informer
from mesh_runtime.leaf_request import RequestedLeaf
from mesh_runtime.pem import certificates_from_pem, certificates_to_pem
from mesh_runtime.pki import Authority, make_intermediate, make_issuer, make_root, new_key
from mesh_runtime.proof import prove
from mesh_runtime.request_answer import approve, give
from mesh_runtime.rotation import issuer_entry, root_entry
from mesh_runtime.sighting import sighting
from mesh_runtime.signing_request import request_in
from mesh_runtime.trust_signing import signed

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

HOUR = timedelta(hours=1)
EDGE, HOLDER = "edge", cluster_id("east")


def issuer(scene: TrustScene, *, root: Authority, key: Authority | None = None) -> Authority:
    """East's, or the same key signed by another root."""
    own = key.key if key is not None else new_key()
    certificate = make_issuer(
        root,
        pool=EDGE,
        holder=HOLDER,
        domain=scene.clusterset.domain,
        public_key=own.public_key(),
        now=scene.clock(),
    )
    return Authority(certificate, own)


async def accepted(
    scene: TrustScene, *, generation: int, roots: tuple[Authority, ...], by: Authority
) -> None:
    """The objects of west, member of the pool, when that statement is in force."""
    statement = Statement(
        domain=scene.clusterset.domain,
        generation=generation,
        roots=tuple(map(root_entry, roots)),
        roster=(),
        issuers=(issuer_entry(by.certificate, pool=EDGE, holder=HOLDER),),
    )
    text = msgspec.to_builtins(signed(statement, by=[root.key for root in roots]))
    spec = {"domain": scene.clusterset.domain, "pool": EDGE, "statement": text}
    admin = scene.api.client()
    name = {"metadata": {"name": PROPERTY_CLUSTER_ID}, "spec": {"value": "west"}}
    await admin.apply(CLUSTER_PROPERTIES, name, field_manager=MANAGER)
    bundle = {"metadata": {"name": TRUST_BUNDLE}, "spec": spec}
    await admin.apply(TRUST_BUNDLES, bundle, field_manager=MANAGER)


async def let_in(scene: TrustScene, *, by: Authority) -> None:
    """What the inviting cluster answers to the request that west's controller has made."""
    informer = Informer(scene.api.client(), CSRS)
    request = await sighting(informer, look=lambda: next(informer.values(), None), limit=60)
    assert request is not None
    read = request_in(request)
    assert read.uris == ("spiffe://west.edge.clusterset.internal/controller",)
    certificate = make_intermediate(
        by,
        cluster=cluster_id("west"),
        domain=scene.clusterset.domain,
        public_key=read.public_key,
        now=scene.clock(),
        pool=EDGE,
    )
    chain = certificates_to_pem((certificate, by.certificate))
    approved = await approve(scene.api.client(), request, message="it was invited")
    await give(scene.api.client(), approved, chain_pem=chain)


async def test_the_whole_chain_is_stored_shown_and_given_to_gateways() -> None:
    async with trust_scene(ago=HOUR) as scene:
        root = scene.clusterset.root
        east = issuer(scene, root=root)
        await accepted(scene, generation=1, roots=(root,), by=east)
        await let_in(scene, by=east)
        standing = await scene.standing()
        assert (standing.identity.pool, standing.settled) == (EDGE, 1)
        assert len(certificates_from_pem(standing.credentials.chain_pem, what="chain")) == 3
        prove(standing.credentials, identity=standing.identity, roots=scene.clusterset.roots)
        secret = await scene.secret()
        assert secret is not None
        assert len(certificates_from_pem(stored_certificate(secret), what="it")) == 2
        gateway = Identity(cluster_id("west"), Component.GATEWAY, scene.clusterset.domain, EDGE)
        account = f"system:serviceaccount:{SYSTEM_NAMESPACE}:{GATEWAY}"
        leaf = await RequestedLeaf(scene.api.client(account)).issue(gateway)
        prove(leaf, identity=gateway, roots=scene.clusterset.roots)


async def test_a_rotation_brings_the_issuers_new_certificate_and_nobody_has_to_be_asked() -> None:
    """The intermediate stays: the issuer's key, which has signed it, does."""
    async with trust_scene(ago=HOUR) as scene:
        old, new = scene.clusterset.root, make_root(scene.clusterset.domain, now=scene.clock())
        east = issuer(scene, root=old)
        await accepted(scene, generation=1, roots=(old,), by=east)
        await let_in(scene, by=east)
        await scene.standing()
        again = issuer(scene, root=new, key=east)
        await accepted(scene, generation=2, roots=(old, new), by=again)
        await until(lambda: (now := scene.source.current) is not None and now.settled == 2, limit=90)
        authority = scene.source.authority
        assert authority is not None and authority.above == (again.certificate,)
        await accepted(scene, generation=3, roots=(new,), by=again)
        await until(lambda: (now := scene.source.current) is not None and now.settled == 3, limit=90)
        await asyncio.sleep(1000)
        assert await scene.requests() == [], "and none is made later"
        secret = await scene.secret()
        assert secret is not None
        assert stored_certificate(secret) == certificates_to_pem(authority.chain)
