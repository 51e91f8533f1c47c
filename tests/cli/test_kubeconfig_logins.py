"""A context of a kubeconfig that is passed on, and the CA that somebody is recognised by."""

import base64
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from mesh_cli.hub.address import BadAddress, parse_server
from mesh_fakes.hub_server import serving
from mesh_runtime.ca_pins import BadPin, WrongCa, parse_pin, pinned, pins_of
from mesh_runtime.kube import KubeconfigError, kubeconfig_of, read_login

# By `openssl req -x509 -newkey ec`, and of it what the pipeline of kubeadm's manual gives: openssl x509
# -pubkey, openssl pkey -pubin -outform der, openssl dgst -sha256.
OPENSSL_CA = b"""\
-----BEGIN CERTIFICATE-----
MIIBeDCCAR+gAwIBAgIUOaRnMOzwnf5oTnFU5+YaZYqavMYwCgYIKoZIzj0EAwIw
ETEPMA0GA1UEAwwGaHViLWNhMCAXDTI2MTEyMjA2MzYyN1oYDzIxMjYxMDI5MDYz
NjI3WjARMQ8wDQYDVQQDDAZodWItY2EwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AAQg7n1wrvYSpIVxeKhewdFlOwArcCR5Hdbk4JrYXL7MHqtTWAIscW5nr/1nop/y
h2BLgw2HFGICGuQhbOGHEhoIo1MwUTAdBgNVHQ4EFgQU/M5DyVIW4OReNkO67kxW
Hr6bXxowHwYDVR0jBBgwFoAU/M5DyVIW4OReNkO67kxWHr6bXxowDwYDVR0TAQH/
BAUwAwEB/zAKBggqhkjOPQQDAgNHADBEAiBOPtYYfojf75CeXqOnPIcgSuB9s1bV
VCeW+POHvUvFmQIgAtM84n2bRefnjW18mOSy7EAHqw5ed8H3m6fA06feK0o=
-----END CERTIFICATE-----
"""
OPENSSL_PIN = "sha256:2faeb85488663dc0cf33a53719c54aab31dd04a0559a2f83b72faf62eae25a87"


def write(folder: Path, *, user: Mapping[str, object]) -> Path:
    """A kubeconfig that names files beside itself."""
    config = {
        "clusters": [
            {"name": "c", "cluster": {"server": "https://c.example/", "certificate-authority": "ca"}}
        ],
        "users": [{"name": "u", "user": dict(user)}],
        "contexts": [
            {"name": "x", "context": {"cluster": "c", "user": "u"}},
            {"name": "nobody", "context": {"cluster": "c"}},
            {"name": "broken", "context": {"cluster": "absent", "user": "u"}},
        ],
        "current-context": "x",
    }
    for name in ("ca", "cert", "key", "token"):
        (folder / name).write_text(f"{name}\n")
    file = folder / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    return file


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_what_is_passed_on_needs_no_file_beside_it(tmp_path: Path) -> None:
    files = {"client-certificate": "cert", "client-key": str(tmp_path / "key"), "tokenFile": "token"}
    login = read_login(kubeconfig=write(tmp_path, user=files), context="x")
    assert (login.server, login.ca, login.program) == ("https://c.example", b"ca\n", "")
    config = yaml.safe_load(kubeconfig_of(login, name="east", server="https://other.example"))
    assert config["clusters"][0]["cluster"] == {
        "server": "https://other.example",
        "certificate-authority-data": encoded("ca\n"),
    }
    assert config["users"][0]["user"] == {
        "client-certificate-data": encoded("cert\n"),
        "client-key-data": encoded("key\n"),
        "token": "token",
    }
    assert "token" not in repr(login)


def test_a_credential_that_a_program_gives_is_told_apart(tmp_path: Path) -> None:
    file = write(tmp_path, user={"exec": {"command": "cloud-login"}})
    assert read_login(kubeconfig=file).program == "exec"
    assert read_login(kubeconfig=file, context="nobody").user == {}


@pytest.mark.parametrize("context", ["absent", "broken"])
def test_a_context_that_cannot_be_read_is_an_error_of_the_kubeconfig(tmp_path: Path, context: str) -> None:
    with pytest.raises(KubeconfigError):
        read_login(kubeconfig=write(tmp_path, user={}), context=context)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError, match="gone"):
        read_login(kubeconfig=write(tmp_path, user={"client-key": "gone"}))


def test_a_ca_is_recognised_by_its_key_in_a_bundle(tmp_path: Path) -> None:
    (one, _), (other, _) = serving(tmp_path / "one"), serving(tmp_path / "other")
    (pin,) = pins_of(one, what="one")
    assert pinned(other + one, pins=[pin], what="both") == one
    assert pins_of(other + one + one, what="all")[1:] == (pin,)
    with pytest.raises(WrongCa, match="not the one that was given"):
        pinned(other, pins=[pin], what="other")


def test_a_pin_is_what_openssl_made_of_a_certificate() -> None:
    assert pins_of(OPENSSL_CA, what="ca") == (OPENSSL_PIN,)


@pytest.mark.parametrize("text", ["", "sha256:", "ab" * 32, "sha256:" + "g" * 64, "sha512:" + "a" * 64])
def test_what_is_no_pin_is_refused(text: str) -> None:
    with pytest.raises(BadPin):
        parse_pin(text)
    assert parse_pin(f" SHA256:{'AB' * 32}\n") == f"sha256:{'ab' * 32}"


@pytest.mark.parametrize(
    "text", ["hub.example", "http://hub.example", "https://", "https://a@b", "https://h:x", "https://h/?a"]
)
def test_what_is_no_address_of_an_api_server_is_refused(text: str) -> None:
    with pytest.raises(BadAddress):
        parse_server(text)
    assert parse_server("https://hub.example:6443/k8s/") == "https://hub.example:6443/k8s"
