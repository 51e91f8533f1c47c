"""What the gateway is told: flags before variables before defaults, and nothing is guessed."""

from dataclasses import fields, replace
from pathlib import Path

import pytest

from mesh_core.errors import UserError
from mesh_core.ranges import number_of
from mesh_gateway.limits import Limits, contradiction
from mesh_gateway.route import Address
from mesh_gateway.settings import Settings, own_api_server, settings_of


def test_told_nothing_it_has_its_defaults() -> None:
    assert settings_of([], environment={}) == Settings()
    assert contradiction(Limits()) == ""


@pytest.mark.parametrize("name", [field.name for field in fields(Limits)])
def test_each_limit_is_a_flag_and_a_variable_and_the_flag_wins(name: str) -> None:
    default = getattr(Limits(), name)
    flag, variable = f"--{name.replace('_', '-')}", f"MESHCTL_GATEWAY_{name.upper()}"
    other = default + (1 if isinstance(default, int) else 0.5)  # keeps every rule between the limits
    told = settings_of([flag, str(other)], environment={variable: str(default)})
    assert told.limits == replace(Limits(), **{name: other})
    assert settings_of([], environment={variable: str(other)}) == told


def test_settings_that_are_no_limits() -> None:
    told = settings_of(
        ["--workers=2", "--allow-external", "192.0.2.0/24,198.51.100.0/24", "--allow-external=2001:db8::/64"],
        environment={
            "MESHCTL_GATEWAY_WORKERS": "3",
            "MESHCTL_GATEWAY_ACCESS_LOG": "0.25",
            "MESHCTL_GATEWAY_SNAPSHOT": "/var/lib/routes",
            "MESHCTL_GATEWAY_ALLOW_EXTERNAL": "10.0.0.0/8",
        },
    )
    assert (told.workers, told.access_log, told.snapshot) == (2, 0.25, Path("/var/lib/routes"))
    inside = {
        host: told.external.hold(number_of(host))
        for host in ("192.0.2.9", "198.51.100.1", "2001:db8::1", "10.0.0.1")
    }
    assert inside == {"192.0.2.9": True, "198.51.100.1": True, "2001:db8::1": True, "10.0.0.1": False}
    by_variable = settings_of([], environment={"MESHCTL_GATEWAY_ALLOW_EXTERNAL": "10.0.0.0/8"})
    assert by_variable.external.hold(number_of("10.0.0.1"))


@pytest.mark.parametrize(
    ("arguments", "environment", "named"),
    [
        (["--connections", "0"], {}, "--connections"),
        (["--connections", "-5"], {}, "--connections"),
        (["--connections", "1.5"], {}, "--connections"),
        (["--connect", "nan"], {}, "--connect"),
        (["--connect", "inf"], {}, "--connect"),
        (["--conn", "5"], {}, "--conn"),
        (["--workers", "0"], {}, "--workers"),
        (["--workers", "1000"], {}, "--workers"),
        (["--access-log", "2"], {}, "--access-log"),
        (["--allow-external", "everything"], {}, "--allow-external"),
        (["surplus"], {}, "surplus"),
        ([], {"MESHCTL_GATEWAY_DRAIN": "soon"}, "--drain"),
        (["--largest-window", "1000"], {}, "largest_window"),
        (["--window-growth", "1000000"], {}, "window_growth"),
        (["--early-data", "300000"], {}, "early_data"),
        (["--early-data", "8192"], {}, "early_data"),
        (["--dead-after", "0.5"], {}, "dead_after"),
    ],
)
def test_what_does_not_read_is_told_in_one_line(
    arguments: list[str], environment: dict[str, str], named: str
) -> None:
    with pytest.raises(UserError) as told:
        settings_of(arguments, environment=environment)
    assert named in str(told.value)
    assert "\n" not in str(told.value)


def test_times_of_an_orderly_end_may_be_nought() -> None:
    told = settings_of(["--farewell=0", "--unlisting=0", "--settle=0", "--drain=0", "--hold=0"])
    assert (told.limits.farewell, told.limits.drain) == (0.0, 0.0)


def test_help_says_what_each_setting_is_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        settings_of(["--help"], environment={})
    assert ended.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "--connections N Streams carried at a time" in text
    assert "Default: 8192." in text


@pytest.mark.parametrize(
    ("host", "port", "found"),
    [
        ("10.96.0.1", "443", (Address("10.96.0.1", 443),)),
        ("fd00:96::1", "6443", (Address("fd00:96::1", 6443),)),
        ("api.cloud.example", "443", (Address("api.cloud.example", 443),)),
        ("", "443", ()),
        ("10.96.0.1", "", ()),
        ("10.96.0.1", "0", ()),
        ("10.96.0.1", "65536", ()),
        ("10.96.0.1", "\u0664\u0664\u0663", ()),
        ("10.96.0.1", "tcp://10.96.0.1:443", ()),
    ],
)
def test_kubelet_says_where_the_api_server_is(host: str, port: str, found: tuple[Address, ...]) -> None:
    environment = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
    assert own_api_server(environment) == found
    assert own_api_server({}) == ()
