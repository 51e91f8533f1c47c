"""What a part of an agent runs in: a Session with a hub and a member that a test holds."""

from mesh_placement.agent.api_pulse import ApiPulse
from mesh_placement.agent.delivery import Delivery
from mesh_placement.agent.kinds import MemberKinds
from mesh_placement.agent.session import Session, own_link
from mesh_placement.agent.vital_signs import VitalSigns
from mesh_placement.decide.agent_settings import HubSettings
from mesh_placement.objects import ClusterIdentity
from mesh_placement.resources import CLUSTER_REGISTRATIONS
from mesh_runtime.clock import Clock
from mesh_runtime.kube import Informer, KubeClient

REGISTRATION_UID = "uid"


def agent_session(
    hub: KubeClient,
    member: KubeClient,
    *,
    namespace: str,
    clock: Clock,
    cluster: str = "east",
    pulse: ApiPulse | None = None,
) -> Session:
    """As of an agent that has joined and delivers nothing; nothing of it runs, `kinds` and `links` neither.

    `pulse` is given by a test that has it run.
    """
    return Session(
        hub=hub,
        member=member,
        settings=HubSettings("https://hub", "pem", cluster, "prod"),
        namespace=namespace,
        registration_uid=REGISTRATION_UID,
        identity=ClusterIdentity(),
        registrations=Informer(hub, CLUSTER_REGISTRATIONS),
        links=own_link(hub, namespace=namespace),
        kinds=MemberKinds(member),
        delivery=Delivery(None, changed=lambda: None),
        clock=clock,
        vitals=VitalSigns(pulse or ApiPulse(member, clock=clock)),
    )
