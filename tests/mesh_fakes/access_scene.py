"""The access proxy between two real API servers: `hub`, whose aggregation layer knows it, and `member`.

The proxy runs in this process, with the rights that the manifests give it; where the hub's own controllers
would act (endpoints of its Service, the agent's Secret, conditions), this does.
"""

import asyncio
import json
import socket
import ssl
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mesh_core.names import SYSTEM_NAMESPACE
from mesh_fakes.bed import Bed
from mesh_fakes.waiting import until_found
from mesh_local.kubectl import kubectl_command
from mesh_placement.access.access import AccessSettings, bound_socket, run_access
from mesh_placement.names import ACCESS, ACCESS_API_SERVICE, ACCESS_SERVING_SECRET
from mesh_placement.resources import API_SERVICES, CLUSTER_REGISTRATIONS
from mesh_runtime.kube import ENDPOINT_SLICES, NAMESPACES, SECRETS, KubeClient, connect
from mesh_runtime.pem import key_to_pem
from mesh_runtime.pki import new_key

MANIFESTS = Path(__file__).parents[2] / "manifests"
MEMBER = "south-1"
"""Id of the cluster `member`, and no other test's: nothing in a light cluster ends the namespace again."""
_MANAGER = "test"
_LIFE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class AccessScene:
    """`address` is where the proxy listens; `ca` is the file by which it is believed."""

    bed: Bed
    address: tuple[str, int]
    ca: Path

    @property
    def url(self) -> str:
        """The proxy's own listener."""
        host, port = self.address
        return f"https://{host}:{port}"

    def aggregated(self) -> str:
        """The member's API below the hub's."""
        return f"{server_of(self.bed, 'hub')}/apis/access.meshctl.dev/v1alpha1/clusters/{MEMBER}/proxy"

    def token(self, account: str) -> str:
        """A token of a ServiceAccount in `default` of the hub."""
        return _token(self.bed, "hub", account, namespace="default")

    def plain_kubeconfig(self, token: str) -> Path:
        """For kubectl through the plain listener, as whoever `token` is."""
        cluster = {
            "server": f"{self.url}/clusters/{MEMBER}",
            "certificate-authority": str(self.ca),
            "tls-server-name": f"{ACCESS}.{SYSTEM_NAMESPACE}.svc",
        }
        return _kubeconfig(self.bed.folder / "plain.kubeconfig", cluster=cluster, user={"token": token})

    def aggregated_kubeconfig(self) -> Path:
        """For kubectl through the hub's API server, as its administrator."""
        admin = _admin(self.bed, "hub")
        cluster = {**admin["cluster"], "server": self.aggregated()}
        return _kubeconfig(self.bed.folder / "aggregated.kubeconfig", cluster=cluster, user=admin["user"])

    @asynccontextmanager
    async def session(self, shown: Path | None = None) -> AsyncIterator[aiohttp.ClientSession]:
        """HTTPS to the plain listener; `shown` is a client certificate with its key."""
        context = ssl.create_default_context(cafile=str(self.ca))
        context.check_hostname = False
        if shown is not None:
            context.load_cert_chain(shown)
        async with aiohttp.ClientSession(
            self.url, connector=aiohttp.TCPConnector(ssl=context, force_close=True)
        ) as session:
            yield session

    def certificate(self, authority: str, *, user: str, groups: tuple[str, ...] = ()) -> Path:
        """A client certificate by one of the hub's authorities ("ca", "front-proxy-ca")."""
        pki = self.bed.folder / "hub" / "pki"
        return certificate_by(pki / f"{authority}.crt", pki / f"{authority}.key", user=user, groups=groups)

    async def kubectl(self, kubeconfig: Path, *arguments: str) -> tuple[int, str]:
        """The end and the words of a kubectl; it reads nothing from here."""
        process = await self.start(kubeconfig, *arguments)
        said, _ = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode is not None
        return process.returncode, said.decode()

    async def start(self, kubeconfig: Path, *arguments: str) -> asyncio.subprocess.Process:
        """A kubectl that runs; what it says, on either stream, is its stdout."""
        program = kubectl_command((), cluster="hub", folder=self.bed.folder)[:-2]
        where = (f"--kubeconfig={kubeconfig}", f"--cache-dir={kubeconfig}.cache")
        argv = [*program, *where, *arguments]
        return await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )


@asynccontextmanager
async def access_between(bed: Bed, *, settings: AccessSettings | None = None) -> AsyncIterator[AccessScene]:
    """The proxy, while the block runs; everything of it is gone afterwards."""
    _install(bed)
    bound = bound_socket(_own_address(bed), 0)
    host, port = bound.getsockname()[:2]
    async with bed.client("hub") as hub, bed.client("member") as member:
        await _join(bed, hub=hub)
        await _lead_to(hub, host=host, port=port)
        account = account_kubeconfig(bed, ACCESS, file="access.kubeconfig")
        chosen = settings if settings is not None else AccessSettings(health_port=0)
        async with connect(kubeconfig=account, context="there") as kube:
            proxy = asyncio.create_task(run_access(kube, settings=chosen, bound=bound))
            try:
                ca = bed.folder / "access-ca.crt"
                await until_found(lambda: _is_up(hub, ca=ca))
                yield AccessScene(bed, (host, port), ca)
            finally:
                proxy.cancel()
                with suppress(asyncio.CancelledError):
                    await proxy
                await _take_down(hub, member)


def certificate_by(ca: Path, ca_key: Path, *, user: str, groups: tuple[str, ...] = ()) -> Path:
    """A client certificate with its key, in one file beside the kubeconfigs of the set."""
    issuer = x509.load_pem_x509_certificate(ca.read_bytes())
    signer = load_pem_private_key(ca_key.read_bytes(), password=None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key, now = new_key(), datetime.now(UTC)
    names = [x509.NameAttribute(NameOID.COMMON_NAME, user)]
    names += [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(names))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + _LIFE)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(signer, hashes.SHA256())
    )
    path = ca.parent / f"{ca.stem}-{user.replace(':', '-')}.pem"
    path.touch(mode=0o600)
    path.write_bytes(made.public_bytes(Encoding.PEM) + key_to_pem(key))
    return path


def server_of(bed: Bed, cluster: str) -> str:
    """URL of a cluster's API server."""
    return str(_admin(bed, cluster)["cluster"]["server"])


def account_kubeconfig(bed: Bed, account: str, *, file: str) -> Path:
    """A kubeconfig in the set's folder, with the rights of one of our own accounts on the hub."""
    token = _token(bed, "hub", account, namespace=SYSTEM_NAMESPACE)
    cluster = _admin(bed, "hub")["cluster"]
    return _kubeconfig(bed.folder / file, cluster=cluster, user={"token": token})


def _install(bed: Bed) -> None:
    for cluster in ("hub", "member"):
        bed.kubectl(cluster, "apply", "-k", str(MANIFESTS / "namespace"))
    for name in ("account.yaml", "service.yaml", "aggregation.yaml"):
        bed.kubectl("hub", "apply", "-f", str(MANIFESTS / "placement" / "access" / name))
    bed.kubectl("member", "apply", "-k", str(MANIFESTS / "placement" / "agent-access"))
    # No controller of a light cluster makes it; another test of the same pair may have.
    account = ("serviceaccount", "placement-hub-access")
    if not bed.kubectl("member", "-n", SYSTEM_NAMESPACE, "get", *account, "--ignore-not-found", "-o", "name"):
        bed.kubectl("member", "-n", SYSTEM_NAMESPACE, "create", *account)


async def _join(bed: Bed, *, hub: KubeClient) -> None:
    """What hub and agent would have written of it."""
    await hub.apply(NAMESPACES, {"metadata": {"name": f"cluster-{MEMBER}"}}, field_manager=_MANAGER)
    await hub.create(CLUSTER_REGISTRATIONS, {"metadata": {"name": MEMBER}, "spec": {"clusterSet": "prod"}})
    await show_available(hub, status="True")
    admin = _admin(bed, "member")["cluster"]
    values = {
        "token": _token(bed, "member", "placement-hub-access", namespace=SYSTEM_NAMESPACE),
        "ca.crt": b64decode(admin["certificate-authority-data"]).decode(),
        "server": admin["server"],
        "expires": (datetime.now(UTC) + _LIFE).isoformat(),
    }
    data = {name: b64encode(value.encode()).decode() for name, value in values.items()}
    meta = {"name": "access", "namespace": f"cluster-{MEMBER}"}
    await hub.create(SECRETS, {"metadata": meta, "data": data})


async def show_available(hub: KubeClient, *, status: str) -> None:
    """The member's condition Available, as the hub writes it."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    condition = {
        "type": "Available",
        "status": status,
        "reason": "LeaseIsFresh" if status == "True" else "LeaseIsOld",
        "message": "a test says so",
        "lastTransitionTime": now,
    }
    body = {
        "metadata": {"name": MEMBER},
        "status": {"namespace": f"cluster-{MEMBER}", "conditions": [condition]},
    }
    await hub.apply(CLUSTER_REGISTRATIONS, body, field_manager=_MANAGER, subresource="status")


async def _lead_to(hub: KubeClient, *, host: str, port: int) -> None:
    """The endpoints of the proxy's Service: no controller of a light cluster makes them."""
    meta = {
        "name": f"{ACCESS}-test",
        "namespace": SYSTEM_NAMESPACE,
        "labels": {"kubernetes.io/service-name": ACCESS},
    }
    body = {
        "metadata": meta,
        "addressType": "IPv4",
        "endpoints": [{"addresses": [host], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    }
    await hub.apply(ENDPOINT_SLICES, body, field_manager=_MANAGER)


async def _is_up(hub: KubeClient, *, ca: Path) -> bool:
    """Whether the hub's aggregation layer says that it reaches the proxy; the CA is in the file then."""
    raw = await hub.request("GET", API_SERVICES.path(ACCESS_API_SERVICE))
    found = json.loads(raw)
    if "caBundle" in found["spec"]:
        ca.write_bytes(b64decode(found["spec"]["caBundle"]))
    conditions = found.get("status", {}).get("conditions", [])
    return any((one["type"], one["status"]) == ("Available", "True") for one in conditions)


async def _take_down(hub: KubeClient, member: KubeClient) -> None:
    await hub.delete(CLUSTER_REGISTRATIONS, MEMBER)
    await hub.delete(SECRETS, "access", namespace=f"cluster-{MEMBER}")
    await hub.delete(API_SERVICES, ACCESS_API_SERVICE)
    await hub.delete(SECRETS, ACCESS_SERVING_SECRET, namespace=SYSTEM_NAMESPACE)
    await hub.delete(ENDPOINT_SLICES, f"{ACCESS}-test", namespace=SYSTEM_NAMESPACE)
    await member.request(
        "DELETE", f"/api/v1/namespaces/{SYSTEM_NAMESPACE}/serviceaccounts/placement-hub-access"
    )


def _token(bed: Bed, cluster: str, account: str, *, namespace: str) -> str:
    return bed.kubectl(cluster, "-n", namespace, "create", "token", account, "--duration=1h").strip()


# Parts of a kubeconfig, as YAML has them.
def _admin(bed: Bed, cluster: str) -> dict[str, dict[str, str]]:
    config = yaml.safe_load(bed.kubeconfig.read_text())
    return {
        "cluster": next(one["cluster"] for one in config["clusters"] if one["name"] == cluster),
        "user": next(one["user"] for one in config["users"] if one["name"] == f"{cluster}-admin"),
    }


def _kubeconfig(path: Path, *, cluster: dict[str, str], user: dict[str, str]) -> Path:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "there",
        "clusters": [{"name": "there", "cluster": cluster}],
        "users": [{"name": "we", "user": user}],
        "contexts": [{"name": "there", "context": {"cluster": "there", "user": "we"}}],
    }
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(config))
    return path


def _own_address(bed: Bed) -> str:
    """The address of this machine from which it reaches the hub's API server."""
    host = server_of(bed, "hub").removeprefix("https://").rpartition(":")[0]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((host, 9))
        return str(probe.getsockname()[0])
