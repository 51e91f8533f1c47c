"""Keys and certificates of one cluster, as kubeadm lays them out: two authorities and their leaves.

Laws:
1. The authority for front proxies is not the cluster's: else every holder of a client certificate
   could claim to be anybody through the request headers.
2. Keys are readable by their owner alone; they live as long as the cluster's folder.
"""

import datetime
import ipaddress
import os
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mesh_local.layout import ClusterFiles
from mesh_local.plan import ClusterPlan

VALID = datetime.timedelta(days=365)
# Clocks of one machine agree, but a certificate made this second must not be "not yet valid".
BACKDATED = datetime.timedelta(hours=1)

ADMIN = "admin"
CONTROLLER_MANAGER = "controller-manager"
SCHEDULER = "scheduler"
PROXY = "kube-proxy"
AUTHORITY = "ca"
FRONT_AUTHORITY = "front-proxy-ca"
FRONT_PROXY = "front-proxy-client"
API_SERVER = "apiserver"
API_SERVER_TO_KUBELET = "apiserver-kubelet-client"
SERVICE_ACCOUNTS = "service-accounts"

_SIGNS_CERTIFICATES = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a certificate names: `name` is the user, `groups` its groups, `hosts` what it serves as."""

    name: str
    groups: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Authority:
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    certificate: x509.Certificate


def kubelet_identity(node: str) -> str:
    """The file name of a node's kubelet's certificate, key and kubeconfig."""
    return f"kubelet-{node}"


def make_pki(cluster: ClusterPlan, *, files: ClusterFiles, now: datetime.datetime) -> None:
    """Writes every key and certificate of `cluster`, valid around `now` (aware)."""
    files.pki.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority = _authority("kubernetes-ca", name=AUTHORITY, files=files, now=now)
    for name, subject in _leaves(cluster).items():
        _leaf(subject, name=name, authority=authority, files=files, now=now)
    front = _authority("front-proxy-ca", name=FRONT_AUTHORITY, files=files, now=now)
    _leaf(Subject(FRONT_PROXY), name=FRONT_PROXY, authority=front, files=files, now=now)
    _service_account_keys(files)


def issue_missing(cluster: ClusterPlan, *, files: ClusterFiles, now: datetime.datetime) -> None:
    """Writes what a cluster that has its keys lacks since it was planned anew: those of further nodes."""
    missing = {name: one for name, one in _leaves(cluster).items() if not files.certificate(name).exists()}
    if not missing:
        return
    key = serialization.load_pem_private_key(files.key(AUTHORITY).read_bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    certificate = x509.load_pem_x509_certificate(files.certificate(AUTHORITY).read_bytes())
    for name, subject in missing.items():
        authority = _Authority(key=key, certificate=certificate)
        _leaf(subject, name=name, authority=authority, files=files, now=now)


def _leaves(cluster: ClusterPlan) -> dict[str, Subject]:
    api_hosts = (
        *("kubernetes", "kubernetes.default", "kubernetes.default.svc"),
        *("kubernetes.default.svc.cluster.local", "localhost", "127.0.0.1"),
        *(str(cluster.first.address), str(cluster.kubernetes_address)),
    )
    leaves = {
        API_SERVER: Subject("kube-apiserver", hosts=api_hosts),
        API_SERVER_TO_KUBELET: Subject("kube-apiserver-kubelet-client", groups=("system:masters",)),
        ADMIN: Subject("kubernetes-admin", groups=("system:masters",)),
    }
    if cluster.light:
        return leaves
    leaves |= {
        CONTROLLER_MANAGER: Subject("system:kube-controller-manager"),
        SCHEDULER: Subject("system:kube-scheduler"),
        PROXY: Subject("system:kube-proxy"),
    }
    for node in cluster.nodes:
        leaves[kubelet_identity(node.name)] = Subject(
            f"system:node:{node.name}",
            groups=("system:nodes",),
            hosts=(node.name, str(node.address)),
        )
    return leaves


def _authority(common_name: str, *, name: str, files: ClusterFiles, now: datetime.datetime) -> _Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    certificate = (
        _builder(subject, issuer=subject, issuer_key=key, key=key, now=now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_SIGNS_CERTIFICATES, critical=True)
        .sign(key, hashes.SHA256())
    )
    _write(name, key=key, certificate=certificate, files=files)
    return _Authority(key=key, certificate=certificate)


def _leaf(
    subject: Subject,
    *,
    name: str,
    authority: _Authority,
    files: ClusterFiles,
    now: datetime.datetime,
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in subject.groups]
    attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, subject.name))
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    builder = (
        _builder(
            x509.Name(attributes),
            issuer=authority.certificate.subject,
            issuer_key=authority.key,
            key=key,
            now=now,
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    )
    if subject.hosts:
        names = x509.SubjectAlternativeName([_general_name(host) for host in subject.hosts])
        builder = builder.add_extension(names, critical=False)
    certificate = builder.sign(authority.key, hashes.SHA256())
    _write(name, key=key, certificate=certificate, files=files)


def _builder(
    subject: x509.Name,
    *,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    key: ec.EllipticCurvePrivateKey,
    now: datetime.datetime,
) -> x509.CertificateBuilder:
    """The key identifiers are in because strict verifiers (Python 3.13 by default) demand them."""
    signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    holder = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + VALID)
        .add_extension(holder, critical=False)
        .add_extension(signer, critical=False)
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _write(
    name: str,
    *,
    key: ec.EllipticCurvePrivateKey,
    certificate: x509.Certificate,
    files: ClusterFiles,
) -> None:
    write_secret(files.key(name), _pem(key))
    files.certificate(name).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _service_account_keys(files: ClusterFiles) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    write_secret(files.key(SERVICE_ACCOUNTS), _pem(key))
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (files.pki / f"{SERVICE_ACCOUNTS}.pub").write_bytes(public)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def write_secret(path: Path, content: bytes) -> None:
    """Writes a file that only its owner reads, from its first byte on."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
