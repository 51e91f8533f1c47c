"""Keys that lie in a kubeconfig: what is left of them on the machine of who reads it."""

import asyncio
import base64
import datetime
import json
import os
import tempfile
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mesh_runtime.kube import connect

pytestmark = pytest.mark.asyncio


def certificate_and_key() -> tuple[str, str]:
    """Both as a kubeconfig has them: PEM in base64."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1)
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    signed = (
        builder.not_valid_before(start).not_valid_after(start.replace(year=2036)).sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem = signed.public_bytes(serialization.Encoding.PEM)
    return base64.b64encode(pem).decode(), base64.b64encode(private).decode()


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    certificate, key = certificate_and_key()
    cluster = {"server": "https://c.example", "certificate-authority-data": certificate}
    user = {"client-certificate-data": certificate, "client-key-data": key}
    says = {"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never", "command": "sh"}
    credential = json.dumps({**says, "kind": "ExecCredential", "status": {"token": "t"}})
    os.mkfifo(tmp_path / "go")
    waits = {"exec": {**says, "args": ["-c", f"cat '{tmp_path}/go'; echo '{credential}'"]}}
    file = tmp_path / "kubeconfig"
    file.write_text(
        yaml.safe_dump(
            {
                "clusters": [{"name": "c", "cluster": cluster}],
                "users": [
                    {"name": "key", "user": user},
                    {"name": "waits", "user": waits},
                ],
                "contexts": [
                    {"name": "key", "context": {"cluster": "c", "user": "key"}},
                    {"name": "waits", "context": {"cluster": "c", "user": "waits"}},
                ],
                "current-context": "key",
            }
        )
    )
    return file


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


async def test_a_key_in_a_kubeconfig_lies_in_no_file_while_we_talk(kubeconfig: Path, temporary: Path) -> None:
    async with connect(kubeconfig=kubeconfig, context="key"):
        assert list(temporary.iterdir()) == []


async def test_who_reads_at_the_same_time_loses_nothing_by_it(kubeconfig: Path, temporary: Path) -> None:
    async def reads(context: str) -> str:
        async with connect(kubeconfig=kubeconfig, context=context) as client:
            return client.server

    # A program gives the first one's credential, and it has the CA in its hands meanwhile.
    first = asyncio.create_task(reads("waits"))
    assert {*await asyncio.gather(reads("key"), reads("key"))} == {"https://c.example"}
    await asyncio.to_thread((kubeconfig.parent / "go").write_text, "")
    assert await first == "https://c.example"
    assert list(temporary.iterdir()) == []
