"""What an error of the way to the hub asks of people. Pure.

The client's own words are for somebody at a kubeconfig; the agent's readers have a pod's log and a Secret.
"""

from mesh_core.errors import MeshError
from mesh_placement.decide.agent_settings import HubSettings
from mesh_placement.names import AGENT_SETTINGS
from mesh_runtime.kube import ApiError, NotTrusted, Unreachable


def hub_trouble(error: MeshError, *, settings: HubSettings) -> str:
    """One line: what is wrong, and the next step. `settings` are those that the agent went by."""
    match error:
        case NotTrusted():
            return (
                f"who answers at {settings.server} shows no certificate of the hub's CA "
                f"(Secret {AGENT_SETTINGS}); if the hub has a new CA: meshctl hub init there, then meshctl "
                "register with its --ca-hash; if not, find out who answers"
            )
        case Unreachable():
            return (
                f"{error.what}; nothing changes in this cluster meanwhile: see whether the hub runs, and "
                "whether pods of this cluster reach it"
            )
        case ApiError(status=401) if settings.token:
            return (
                f"the hub does not take the token {settings.token_id}: its time is over, or it was revoked, "
                "or used by another; meshctl token create on the hub, then meshctl register"
            )
        case ApiError(status=401):
            return (
                f"the hub does not take the agent's credential ({error.message}); see whether the hub still "
                f"has {settings.cluster} (meshctl clusters), then meshctl token create and meshctl register"
            )
        case ApiError(status=403):
            return (
                f"the hub forbids it ({error.message}); see whether placement-hub runs there, which gives "
                "the agent its rights; the agent asks again"
            )
        case _:
            return str(error)
