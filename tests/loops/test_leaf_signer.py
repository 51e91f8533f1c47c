"""The controller as signer: who asks gets a leaf, a refusal, or waits; and nothing is left lying about."""

import asyncio
import base64
from collections.abc import Mapping
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from mesh_core.identity import Component
from mesh_core.names import SIGNER_LEAF
from mesh_core.objects import CertificateSigningRequest
from mesh_fakes.access_hub import AccessHub
from mesh_fakes.clusterset import identity
from mesh_fakes.controller_trust import TrustScene, trust_scene
from mesh_fakes.under_way import under_way
from mesh_fakes.waiting import until
from mesh_placement.way.tunnels import AccessLeaf
from mesh_runtime.kube import CSRS
from mesh_runtime.leaf_request import RequestedLeaf
from mesh_runtime.pki import new_key
from mesh_runtime.proof import prove
from mesh_runtime.request_answer import approve
from mesh_runtime.signing_request import make_request

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

HOUR = timedelta(hours=1)
GATEWAY = "system:serviceaccount:meshctl-system:meshctl-gateway"
DNS = "system:serviceaccount:meshctl-system:meshctl-dns"
ACCESS = "system:serviceaccount:meshctl-system:placement-access"
HUB = "system:serviceaccount:meshctl-system:placement-hub"
WISH = identity("west")


async def ask(
    scene: TrustScene,
    *,
    username: str = GATEWAY,
    request: bytes | None = None,
    status: Mapping[str, object] | None = None,
) -> CertificateSigningRequest:
    """Post a request as somebody, by default a proper one; `status` is what others did to it already."""
    proper = make_request(new_key(), identity=WISH)
    spec = {
        "request": base64.b64encode(proper if request is None else request).decode(),
        "signerName": SIGNER_LEAF,
        "usages": ["client auth"],
    }
    body = {"metadata": {"generateName": "somebody-"}, "spec": spec, "status": status or {}}
    return await scene.api.client(username).create(CSRS, body)


async def conditions(scene: TrustScene, request: CertificateSigningRequest) -> dict[str, str]:
    """Type and reason of what stands in the request."""
    now = await scene.api.client().get(CSRS, request.metadata.name)
    return {condition.type: condition.reason for condition in now.status.conditions}


async def settled(scene: TrustScene) -> None:
    """Return when the signer has had time to do whatever it will."""
    await asyncio.sleep(1)


@pytest.mark.parametrize(
    ("username", "component"),
    [
        (GATEWAY, Component.GATEWAY),
        (DNS, Component.DNS),
        (ACCESS, Component.ACCESS),
        (HUB, Component.ACCESS),
    ],
)
async def test_a_component_gets_its_own_leaf(username: str, component: Component) -> None:
    async with trust_scene(ago=HOUR) as scene:
        await scene.joined()
        issuer = RequestedLeaf(scene.api.client(username), limit=10)
        credentials = await issuer.issue(WISH)
        own = identity("west", component)
        prove(credentials, identity=own, roots=scene.clusterset.roots)


async def test_the_access_proxy_of_a_member_keeps_a_leaf_that_it_can_show() -> None:
    async with trust_scene(ago=HOUR) as scene:
        await scene.joined()
        leaf = AccessLeaf(scene.api.client(ACCESS))
        async with under_way(leaf.run()):
            await until(lambda: leaf.current is not None)
            standing = leaf.current
        assert standing is not None
        assert standing.identity == identity("west", Component.ACCESS)


async def test_a_hub_without_a_mesh_watches_nothing_of_it() -> None:
    hub, needed = AccessHub(), asyncio.Event()
    leaf = AccessLeaf(hub.client(HUB))
    async with under_way(leaf.run(needed)):
        await asyncio.sleep(600)
        assert hub.asked == []
        needed.set()
        await asyncio.sleep(600)
    assert set(hub.asked) == {"GET trustbundles"} and len(hub.asked) <= 21


async def test_the_account_decides_and_not_the_wish() -> None:
    async with trust_scene(ago=HOUR) as scene:
        await scene.joined()
        issuer = RequestedLeaf(scene.api.client(DNS), limit=10)
        credentials = await issuer.issue(identity("east", Component.CONTROLLER))
        prove(credentials, identity=identity("west", Component.DNS), roots=scene.clusterset.roots)


async def test_a_stranger_is_denied_with_a_reason() -> None:
    async with trust_scene(ago=HOUR) as scene:
        await scene.joined()
        request = await ask(scene, username="system:serviceaccount:demo:meshctl-gateway")
        await settled(scene)
        assert await conditions(scene, request) == {"Denied": "RequesterNotAllowed"}


async def test_a_stranger_whom_somebody_approved_fails() -> None:
    """Kubernetes knows no way from Approved to Denied."""
    async with trust_scene(ago=HOUR) as scene:
        await scene.joined()
        approved = {"conditions": [{"type": "Approved", "status": "True", "reason": "FineByMe"}]}
        request = await ask(scene, username="mallory", status=approved)
        await settled(scene)
        assert await conditions(scene, request) == {
            "Approved": "FineByMe",
            "Failed": "RequesterNotAllowed",
        }


def for_an_rsa_key() -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return signed_request(key)


def for_another_curve() -> bytes:
    return signed_request(ec.generate_private_key(ec.SECP384R1()))


def signed_request(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def signed_by_nobody() -> bytes:
    """A request whose last byte, of the signature, is another."""
    good = x509.load_pem_x509_csr(make_request(new_key(), identity=WISH))
    der = good.public_bytes(serialization.Encoding.DER)
    broken = base64.encodebytes(der[:-1] + bytes([der[-1] ^ 1])).decode()
    return (f"-----BEGIN CERTIFICATE REQUEST-----\n{broken}-----END CERTIFICATE REQUEST-----\n").encode()


@pytest.mark.parametrize(
    "request_pem", [b"", b"nonsense", for_an_rsa_key(), for_another_curve(), signed_by_nobody()]
)
async def test_what_cannot_be_signed_is_denied(request_pem: bytes) -> None:
    async with trust_scene(ago=HOUR) as scene:
        await scene.joined()
        request = await ask(scene, request=request_pem)
        await settled(scene)
        assert await conditions(scene, request) == {"Denied": "RequestUnreadable"}


async def test_requests_wait_for_the_intermediate() -> None:
    async with trust_scene(ago=HOUR) as scene:
        await scene.join()
        issuing = asyncio.create_task(RequestedLeaf(scene.api.client(GATEWAY)).issue(WISH))
        await asyncio.sleep(300)
        assert not issuing.done()
        await scene.approve()
        prove(await issuing, identity=WISH, roots=scene.clusterset.roots)


async def test_a_half_done_answer_is_finished() -> None:
    """The leader that approved it died before it wrote the certificate."""
    async with trust_scene(ago=HOUR) as scene:
        await scene.join()
        request = await ask(scene)
        await approve(scene.api.client(), request, message="as the signer would")
        await scene.approve()
        await scene.standing()
        await settled(scene)
        now = await scene.api.client().get(CSRS, request.metadata.name)
        assert now.status.certificate
        assert len(now.status.conditions) == 1


async def test_an_answered_request_is_not_answered_again() -> None:
    async with trust_scene(ago=HOUR) as scene:
        await scene.joined()
        await ask(scene)
        await settled(scene)
        before = len(scene.api.requests)
        await asyncio.sleep(600)
        assert len(scene.api.requests) == before


async def test_old_requests_are_removed_whatever_became_of_them() -> None:
    async with trust_scene(ago=HOUR) as scene:
        await scene.joined()
        await ask(scene)
        await ask(scene, username="mallory")
        await asyncio.sleep(890)
        assert len(await scene.requests(SIGNER_LEAF)) == 2
        await asyncio.sleep(20)
        assert await scene.requests(SIGNER_LEAF) == []


async def test_requests_for_other_signers_are_left_alone() -> None:
    async with trust_scene(ago=HOUR) as scene:
        await scene.joined()
        spec = {"request": "", "signerName": "kubernetes.io/kubelet-serving", "usages": ["server auth"]}
        admin = scene.api.client()
        await admin.create(CSRS, {"metadata": {"name": "kubelets"}, "spec": spec})
        await asyncio.sleep(1000)
        assert (await admin.get(CSRS, "kubelets")).status.conditions == ()


async def test_signing_goes_on_after_the_api_server_was_away() -> None:
    async with trust_scene(ago=HOUR) as scene:
        await scene.joined()
        scene.api.stop()
        await asyncio.sleep(100)
        scene.api.start()
        request = await ask(scene)
        await until(lambda: len(scene.api.requests) > 1)
        await asyncio.sleep(60)
        assert await conditions(scene, request) == {"Approved": "ApprovedByMeshctl"}
