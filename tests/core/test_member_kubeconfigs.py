"""Which kubeconfig the hub uses to dial in to a member, and which not."""

import base64
from contextlib import nullcontext
from typing import Any

import pytest
import yaml

from mesh_placement.decide.kubeconfig import BadKubeconfig, Dial, read_kubeconfig

CA = base64.b64encode(b"ca").decode()
CLUSTER = {"server": "https://east.example:6443", "certificate-authority-data": CA}
# What a test says of a kubeconfig: its values are whatever YAML has.
Said = dict[str, Any]


def kubeconfig(*, cluster: Said | None = None, user: Said | None = None, top: Said | None = None) -> bytes:
    config = {
        "current-context": "east",
        "clusters": [{"name": "c", "cluster": cluster or CLUSTER}],
        "users": [{"name": "u", "user": {"token": "t"} if user is None else user}],
        "contexts": [{"name": "east", "context": {"cluster": "c", "user": "u"}}],
        **(top or {}),
    }
    return yaml.safe_dump(config).encode()


def test_plain_data_is_taken() -> None:
    assert read_kubeconfig(kubeconfig()) == Dial(server="https://east.example:6443", ca=b"ca", token="t")
    both = {"client-certificate-data": CA, "client-key-data": CA}
    assert read_kubeconfig(kubeconfig(user=both)).key == b"ca"
    assert read_kubeconfig(kubeconfig(top={"current-context": ""})).token == "t"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (kubeconfig(user={"exec": {"command": "aws"}}), "RunsAProgram"),
        (kubeconfig(user={"auth-provider": {"name": "gcp"}}), "RunsAProgram"),
        (kubeconfig(user={"tokenFile": "/var/run/secrets/token"}), "NamesAFile"),
        (kubeconfig(user={"client-certificate": "a.pem", "client-key": "a.key"}), "NamesAFile"),
        (kubeconfig(cluster={"server": "https://a", "certificate-authority": "/ca"}), "NamesAFile"),
        (kubeconfig(cluster={"server": "https://a", "insecure-skip-tls-verify": True}), "NotVerified"),
        (kubeconfig(cluster={**CLUSTER, "proxy-url": "http://p"}), "NotVerified"),
        (kubeconfig(cluster={"server": "https://a"}), "NotVerified"),
        (kubeconfig(cluster={**CLUSTER, "server": "http://a"}), "NotVerified"),
        (kubeconfig(user={"username": "a", "password": "b"}), "Unsupported"),
        (kubeconfig(user={"token": "t", "as": "admin"}), "Unsupported"),
        (kubeconfig(cluster={**CLUSTER, "tls-server-name": "other"}), "Unsupported"),
        (kubeconfig(user={}), "NoCredential"),
        (kubeconfig(user={"client-certificate-data": CA}), "NoCredential"),
        (kubeconfig(user={"client-certificate-data": "%"}), "Unreadable"),
        (kubeconfig(top={"contexts": []}), "Unreadable"),
        (kubeconfig(top={"contexts": "x", "clusters": 3}), "Unreadable"),
        (kubeconfig(top={"clusters": [3]}), "Unreadable"),
        (b"\xff\xfe", "Unreadable"),
        (b"[1]", "Unreadable"),
        (b"[" * 5000, "Unreadable"),
    ],
)
def test_what_would_run_read_files_or_skip_verification_is_refused(text: bytes, reason: str) -> None:
    with pytest.raises(BadKubeconfig) as refused:
        read_kubeconfig(text)
    assert refused.value.reason == reason


@pytest.mark.parametrize("layer", ["[{}]", "{{<<: [{}]}}"])
def test_a_few_hundred_bytes_that_mean_gigabytes_are_not_unfolded(layer: str) -> None:
    lines = ["a0: &a0 {k: v}"]
    for number in range(1, 40):
        below = layer.format(", ".join([f"*a{number - 1}"] * 9))
        lines.append(f"a{number}: &a{number} {below}")
    lines.append("contexts: [{name: c, context: {cluster: *a39, user: u}}]")
    with pytest.raises(BadKubeconfig, match="Unreadable"):
        read_kubeconfig("\n".join(lines).encode())


@pytest.mark.parametrize(("size", "is_taken"), [(60 << 10, True), (65 << 10, False)])
def test_a_kubeconfig_that_would_keep_the_hub_parsing_for_seconds_is_not_parsed(
    size: int, is_taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[bytes] = []
    load = yaml.load

    def loads(text: bytes, Loader: type[yaml.SafeLoader]) -> object:
        parsed.append(text)
        return load(text, Loader=Loader)

    monkeypatch.setattr(yaml, "load", loads)
    text = kubeconfig() + b"#" * size
    with nullcontext() if is_taken else pytest.raises(BadKubeconfig, match="too large"):
        read_kubeconfig(text)
    assert bool(parsed) == is_taken


def test_no_secret_shows_in_a_repr() -> None:
    assert "secret" not in repr(Dial(server="s", ca=b"", key=b"secret", token="secret"))
