"""What a candidate for the hub is told, and what it does not take."""

import base64

import pytest
import yaml

from mesh_core.objects import Meta, Secret
from mesh_placement.decide.floating_settings import KEY_BYTES, BadFloating, read_floating
from mesh_placement.names import FLOATING

KEY = bytes(KEY_BYTES)


def kubeconfig(server: str = "https://there.example:6443", **user: object) -> bytes:
    cluster = {"server": server, "certificate-authority-data": base64.b64encode(b"PEM").decode()}
    config = {
        "current-context": "there",
        "clusters": [{"name": "there", "cluster": cluster}],
        "users": [{"name": "we", "user": user or {"token": "word"}}],
        "contexts": [{"name": "there", "context": {"cluster": "there", "user": "we"}}],
    }
    return yaml.safe_dump(config).encode()


GOOD = {"self": b"east", "key": KEY, "witness.west": kubeconfig(), "witness.south": kubeconfig()}


def secret(data: dict[str, bytes]) -> Secret:
    encoded = {name: base64.b64encode(value).decode() for name, value in data.items()}
    return Secret(metadata=Meta(name=FLOATING), data=encoded)


def test_the_other_witnesses_are_read_and_the_cluster_is_one_itself() -> None:
    found = read_floating(secret({**GOOD, "witness.east": b"not looked at"}))
    assert found.own == "east"
    assert sorted(found.others) == ["south", "west"]
    assert found.others["west"].token == "word"
    assert "word" not in repr(found)
    assert repr(KEY) not in repr(found)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"self": b""}, "no name of a cluster"),
        ({"self": b"../east"}, "no name of a cluster"),
        ({"key": b"short"}, "key has 5 bytes"),
        ({"key": b""}, "key has 0 bytes"),
        ({"witness.UP/": kubeconfig()}, "names no cluster"),
        ({"witness.west": kubeconfig("http://plain.example")}, "witness.west"),
        ({"witness.west": kubeconfig(exec={"command": "sh"})}, "RunsAProgram"),
        ({"witness.west": kubeconfig(tokenFile="/etc/token")}, "NamesAFile"),
        ({f"witness.w{number}": kubeconfig() for number in range(7)}, "9 witnesses beside"),
    ],
)
def test_what_cannot_be_used_keeps_it_from_standing_and_says_why(change: dict[str, bytes], why: str) -> None:
    with pytest.raises(BadFloating, match=why) as caught:
        read_floating(secret({**GOOD, **change}))
    assert "word" not in str(caught.value)


def test_two_witnesses_are_too_few_since_none_of_them_may_fail() -> None:
    with pytest.raises(BadFloating, match="1 witnesses beside"):
        read_floating(secret({name: value for name, value in GOOD.items() if name != "witness.south"}))
