"""One fleet for all tests of this folder.

All clusters have the same pod and Service ranges; with RANGES=distinct each has its own.
"""

import base64
import os
from collections.abc import Iterator

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from live.registration.fleet import ALICE, AUTO, HUB, MANUAL, Fleet, sealed
from mesh_fakes.bed import Bed, started

PROXY = "clusters.access.meshctl.dev/proxy"
_SHAPES = {"equal": (), "distinct": ("--flat",)}


@pytest.fixture(scope="package")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A hub that is a member of the mesh, and two clusters that are not registered yet."""
    shape = _SHAPES[os.environ.get("RANGES", "equal")]
    with started(tmp_path_factory.mktemp("fleet"), "--clusters", f"{HUB},{AUTO},{MANUAL}", *shape) as bed:
        found = Fleet(bed, bed.load("program"))
        bed.done("trust", "init", "--dir", str(bed.trust))
        for cluster in (HUB, MANUAL):
            joining = ("join", "--context", cluster, "--cluster-id", cluster, "--trust", str(bed.trust))
            found.meshctl(*joining, "--image", found.program, "--service-type", "nodeport")
        found.meshctl(
            "link", MANUAL, HUB, "--dial", "outbound", "--allow-api-server", MANUAL, "--timeout", "240"
        )
        found.meshctl("hub", "init", "--context", HUB, "--image", found.program)
        admit_alice(bed)
        with sealed(bed, MANUAL):
            yield found


def admit_alice(bed: Bed) -> None:
    """The hub knows her by a certificate, and lets her use the way to members; each member lets her in."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ALICE)])
    asked = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    request = {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": ALICE},
        "spec": {
            "request": _text(asked.public_bytes(serialization.Encoding.PEM)),
            "signerName": "kubernetes.io/kube-apiserver-client",
            "usages": ["client auth"],
        },
    }
    file = bed.folder / "alice-request.yaml"
    file.write_text(yaml.safe_dump(request))
    bed.kubectl(HUB, "apply", "-f", str(file))
    bed.kubectl(HUB, "certificate", "approve", ALICE)
    bed.kubectl(HUB, "wait", "csr", ALICE, "--for=jsonpath={.status.certificate}", "--timeout=240s")
    given = bed.kubectl(HUB, "get", "csr", ALICE, "-o", "jsonpath={.status.certificate}")
    login = {
        "client-certificate-data": given,
        "client-key-data": _text(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        ),
    }
    (bed.folder / "alice.yaml").write_text(yaml.safe_dump(login))
    verbs = "--verb=get,create,update,patch,delete"
    bed.kubectl(HUB, "create", "clusterrole", "passers", verbs, f"--resource={PROXY}")
    bed.kubectl(HUB, "create", "clusterrolebinding", "passers", "--clusterrole=passers", f"--user={ALICE}")
    for member in (AUTO, MANUAL):
        bed.kubectl(member, "create", "clusterrolebinding", "alice", "--clusterrole=edit", f"--user={ALICE}")


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
