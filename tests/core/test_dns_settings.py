"""What the DNS server is told by its environment and by flags, and what it refuses to be told."""

from dataclasses import fields
from pathlib import Path

import pytest

from mesh_core.errors import UserError
from mesh_core.ranges import number_of, ranges_of
from mesh_dns.settings import Settings, settings_of


def test_without_variables_the_defaults_hold() -> None:
    assert settings_of({}) == Settings(ttl=5)
    assert settings_of({"MESHCTL_DNS_TTL": ""}) == Settings()


def test_the_snapshot_is_a_folder() -> None:
    assert settings_of({"MESHCTL_DNS_SNAPSHOT": "/var/lib/names"}).snapshot == Path("/var/lib/names")


def test_the_order_is_shuffled_or_nearest_and_nothing_else() -> None:
    assert not settings_of({"MESHCTL_DNS_ORDER": "shuffled"}).nearest
    assert settings_of({"MESHCTL_DNS_ORDER": "nearest"}).nearest
    with pytest.raises(UserError, match="MESHCTL_DNS_ORDER: 'Nearest' is not shuffled or nearest"):
        settings_of({"MESHCTL_DNS_ORDER": "Nearest"})


@pytest.mark.parametrize("seconds", [0, 1, 30, 3600])
def test_the_ttl_is_a_number_of_seconds(seconds: int) -> None:
    assert settings_of({"MESHCTL_DNS_TTL": str(seconds)}).ttl == seconds


@pytest.mark.parametrize(
    "text", ["-1", "3601", "5s", " 5", "+5", "1_0", "5.0", "\u0665", "99999999999999999999"]
)
def test_a_ttl_that_does_not_read_is_an_error_of_one_line(text: str) -> None:
    with pytest.raises(UserError) as caught:
        settings_of({"MESHCTL_DNS_TTL": text})
    assert "MESHCTL_DNS_TTL" in str(caught.value) and "0 to 3600" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", " ", ",", " , "])
def test_no_network_is_named_where_nothing_is_said(text: str) -> None:
    assert not settings_of({"MESHCTL_DNS_LOCAL_NETWORKS": text}).local_networks


def test_networks_that_count_as_local_are_named_with_commas_between() -> None:
    named = settings_of({"MESHCTL_DNS_LOCAL_NETWORKS": "10.8.0.0/16, fd00:8::/32"}).local_networks
    assert named.hold(number_of("10.8.1.1")) and named.hold(number_of("fd00:8::1"))
    assert not named.hold(number_of("10.9.1.1"))


@pytest.mark.parametrize("text", ["10.8.0.1/16", "10.8.0.0/33", "pods", "10.8.0.0/16;10.9.0.0/16"])
def test_a_network_that_does_not_read_is_an_error_of_one_line(text: str) -> None:
    with pytest.raises(UserError, match="MESHCTL_DNS_LOCAL_NETWORKS") as caught:
        settings_of({"MESHCTL_DNS_LOCAL_NETWORKS": text})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "by_variable", "flag", "by_flag"),
    [
        ("ttl", "7", "0", Settings(ttl=0)),
        ("order", "shuffled", "nearest", Settings(nearest=True)),
        ("local_networks", "10.8.0.0/16", "10.9.0.0/16", Settings(local_networks=ranges_of(["10.9.0.0/16"]))),
        ("snapshot", "/var/lib/old", "/var/lib/names", Settings(snapshot=Path("/var/lib/names"))),
        ("workers", "3", "2", Settings(workers=2)),
        ("linger", "3", "0.5", Settings(linger=0.5)),
        ("listen_port", "53", "54", Settings(listen_port=54)),
        ("health_port", "80", "81", Settings(health_port=81)),
    ],
)
def test_each_setting_is_a_flag_and_a_variable_and_the_flag_wins(
    name: str, by_variable: str, flag: str, by_flag: Settings
) -> None:
    variable, arguments = f"MESHCTL_DNS_{name.upper()}", [f"--{name.replace('_', '-')}", flag]
    assert settings_of({variable: by_variable}, arguments=arguments) == by_flag
    assert settings_of({variable: flag}) == by_flag != settings_of({variable: by_variable})


def test_the_readme_lists_every_setting() -> None:
    readme = (Path(__file__).parents[2] / "dns" / "README.md").read_text()
    for field in fields(Settings):
        name = "order" if field.name == "nearest" else field.name
        assert f"| `--{name.replace('_', '-')}` | `MESHCTL_DNS_{name.upper()}` |" in readme


def test_what_kubernetes_says_of_our_service_is_no_setting() -> None:
    """With service links on, each pod in the namespace has these."""
    said = {
        "MESHCTL_DNS_PORT": "tcp://10.96.0.5:53",
        "MESHCTL_DNS_SERVICE_HOST": "10.96.0.5",
        "MESHCTL_DNS_SERVICE_PORT": "53",
        "MESHCTL_DNS_PORT_53_UDP": "udp://10.96.0.5:53",
    }
    assert settings_of(said) == Settings()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--workers=65"], "--workers"),
        (["--workers=-1"], "--workers"),
        (["--listen-port=65536"], "--listen-port"),
        (["--workers=2", "--listen-port=0"], "--listen-port"),
        (["--ttl=5s"], "--ttl"),
        (["--order=random"], "--order"),
        (["--local-networks=pods"], "--local-networks"),
        (["--work=2"], "--work"),
    ],
)
def test_a_flag_that_does_not_read_is_an_error_of_one_line(arguments: list[str], named: str) -> None:
    with pytest.raises(UserError) as caught:
        settings_of({}, arguments=arguments)
    assert named in str(caught.value) and "\n" not in str(caught.value)
