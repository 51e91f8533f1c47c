"""What an agent's log and Secret tell its people to do about the way to the hub."""

import pytest

from mesh_core.errors import MeshError
from mesh_placement.agent.hub_trouble import hub_trouble
from mesh_placement.decide.agent_settings import HubSettings
from mesh_runtime.kube import ApiError, NotTrusted, Unreachable

TOLD = HubSettings(server="https://hub:6443", ca="PEM", cluster="east", cluster_set="prod")
JOINING = HubSettings(
    server="https://hub:6443", ca="PEM", cluster="east", cluster_set="prod", token="abcdef.secret"
)
UNKNOWN = ApiError(status=401, reason="Unauthorized", message="Unauthorized")
FORBIDDEN = ApiError(status=403, reason="Forbidden", message="may not")


@pytest.mark.parametrize(
    ("error", "settings", "told"),
    [
        (NotTrusted(server="https://hub:6443", why="TLS"), TOLD, ("meshctl hub init", "--ca-hash")),
        (Unreachable(server="https://hub:6443", why="refused"), TOLD, ("nothing changes", "pods")),
        (UNKNOWN, JOINING, ("token abcdef", "meshctl token create", "meshctl register")),
        (UNKNOWN, TOLD, ("credential", "meshctl clusters", "meshctl register")),
        (FORBIDDEN, TOLD, ("may not", "placement-hub")),
        (MeshError("it is so", next_step="do that"), TOLD, ("it is so; do that",)),
    ],
    ids=["other CA", "silence", "token is over", "credential is over", "no right", "all else"],
)
def test_what_keeps_the_agent_from_its_hub_says_what_to_do_in_one_line(
    error: MeshError, settings: HubSettings, told: tuple[str, ...]
) -> None:
    said = hub_trouble(error, settings=settings)
    assert all(part in said for part in told)
    assert "\n" not in said
    assert "kubeconfig" not in said and "context" not in said and "secret" not in said
