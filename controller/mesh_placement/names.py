"""Names that hub, agent, access and command line must spell alike."""

import hashlib

from mesh_core.names import ACCESS as ACCESS
from mesh_core.names import HUB as HUB

GROUP = "placement.meshctl.dev"
ACCESS_GROUP = "access.meshctl.dev"
"""Its own: an APIService owns a whole group version."""

AGENT = "placement-agent"
"""Deployment, ServiceAccount and Service of a component share one name, in `SYSTEM_NAMESPACE`; `ACCESS` and
`HUB` too, which the core knows."""

AGENT_SETTINGS = "placement-hub"
"""Secret of a member: where its hub is, and a bootstrap token while it has no credential yet."""
AGENT_CREDENTIAL = "placement-hub-credential"
"""Secret of a member: what its agent shows to the hub, and until when."""
JOIN_KUBECONFIG_PREFIX = "placement-join-"
"""Secret of the hub, in `SYSTEM_NAMESPACE`: a member's kubeconfig, deleted once it was used."""
AGENT_MANIFESTS = "placement-agent-manifests"
"""ConfigMap of the hub, in `SYSTEM_NAMESPACE`: what the hub applies to a member that it dials in to."""
HUB_INFO = "meshctl-hub"
"""ConfigMap in kube-public of the hub: its address and CA, for whoever has the CA's hash."""

DEDICATED = "dedicated"
"""Key there, "true": the hub runs no workloads, so that templates may lie in it."""

ACCESS_PORT = 15447
"""Where the access proxy listens."""
ACCESS_SERVING_SECRET = "placement-access-serving"
"""Secret of the hub, in `SYSTEM_NAMESPACE`: `tls.key`, `tls.crt`, `ca.crt` of the access proxy."""
ACCESS_API_SERVICE = f"v1alpha1.{ACCESS_GROUP}"
ANNOTATION_SELF_MADE = "access.meshctl.dev/self-made"
"""On that Secret, "true": the access proxy made what is in it and renews it."""

FLOATING = "placement-floating"
"""Secret of a candidate, in `SYSTEM_NAMESPACE`: where the witnesses are, and the key of the copies. A
ServiceAccount is called so too: as it a new hub writes people's objects out of the copy."""
WITNESS = "placement-witness"
"""ServiceAccount of a witness, as which candidates come; in `WITNESS_NAMESPACE`."""
WITNESS_NAMESPACE = "meshctl-witness"
"""Of a cluster that keeps a Lease and a copy for candidates; nothing else lies there."""
HUB_COPY = "hub-copy"
"""Secret of a witness with the index; pieces are called so and by their digest."""

LEASE = "agent"
"""Lease of a member, in its namespace on the hub."""
ACCESS_SECRET = "access"
"""Secret of a member, in its namespace on the hub: `token`, `ca.crt`, `server`, `expires`."""
TRUST_SECRET = "mesh-trust"
"""Secret of a member, in its namespace on the hub: what the mesh's root has signed, by a person's command."""
AGENT_ACCOUNT = "agent"
"""ServiceAccount of a member, in its namespace on the hub, where the driver is `token`."""
CAPACITY = "capacity"
LINKS = "links"
"""ClusterCapacity and ClusterLink of a member, one each, in its namespace on the hub."""

HUB_ACCESS_ACCOUNT = "placement-hub-access"
"""ServiceAccount of a member, in `SYSTEM_NAMESPACE`: what the hub is there; it may only impersonate."""
WORK_ACCOUNT = "placement-work"
"""ServiceAccount of a member, in `SYSTEM_NAMESPACE`: applies what no Assignment gives to somebody else."""
DEPENDENCIES_ACCOUNT = "placement-dependencies"
"""ServiceAccount of the hub, in `SYSTEM_NAMESPACE`: what it may read there, Placements take along."""
WORK_MORE_ROLE = "placement-work-more"
"""ClusterRole of it, and its binding: what a member's administrator adds to its rights."""

HUB_MANAGER = "hub.placement.meshctl.dev"
AGENT_MANAGER = "agent.placement.meshctl.dev"
WORK_MANAGER = "meshctl-work"
"""Field managers; the last one of what is distributed, and of what is said of it."""
FENCE_MANAGER = "meshctl-fence"
"""Field manager of what stops a workload, and of what is noted of that."""
AGENT_LEAVING_MANAGER = f"leaving.{AGENT_MANAGER}"
"""Field manager of what a leaving agent acknowledges: `withdrawn`, `cleared`, `left` of its report."""
STANDING_MANAGER = f"standing.{HUB_MANAGER}"
"""Field manager of what the failure table found of a cluster: `standing` of its registration."""
ORIGIN_MANAGER = f"origin.{HUB_MANAGER}"
"""Field manager of what a Placement was before another cluster became the hub: `origin` of its status."""
FLOATING_MANAGER = f"floating.{HUB_MANAGER}"
"""Field manager of what a cluster that becomes the hub makes of people's objects out of the copy."""
PROVIDER_MANAGER = "provider.placement.meshctl.dev"
"""Field manager of what a provider says of a ClusterClaim."""
PUSH_MANAGER = "push.placement.meshctl.dev"
"""Field manager of the condition by which hub and agent agree who distributes."""

FINALIZER = "placement.meshctl.dev/registration"
WORK_FINALIZER = "placement.meshctl.dev/applied"
"""On a Work whose objects may be in a member."""

PLACEMENT_FINALIZER = "placement.meshctl.dev/placed"
"""On a Placement that may have brought something to a member."""

CLAIM_FINALIZER = "placement.meshctl.dev/ordered"
"""On a ClusterClaim, by the hub: the cluster is in, or may be. Once it is gone, the provider may destroy."""
PROVIDER_FINALIZER = "placement.meshctl.dev/provided"
"""On a ClusterClaim, by its provider: there may be something of it to destroy."""

LABEL_CLUSTER = "placement.meshctl.dev/cluster"
LABEL_CLUSTERSET = "placement.meshctl.dev/clusterset"
LABEL_ASSIGNMENT = "placement.meshctl.dev/assignment"
LABEL_PLACEMENT = "placement.meshctl.dev/placement"
"""On Assignments, Works and PlacementReports that a Placement made; see `placed_name`."""
LABEL_COPY = "placement.meshctl.dev/hub-copy"
"""On each piece of a hub's copy in a witness."""
LABEL_DISTRIBUTED = "placement.meshctl.dev/distributed"
"""On every object in a member that a Work brought: by it they are watched."""
ANNOTATION_CLUSTER = "placement.meshctl.dev/cluster"
ANNOTATION_CLUSTER_UID = "placement.meshctl.dev/kube-system-uid"
ANNOTATION_MODE = "placement.meshctl.dev/mode"
ANNOTATION_ACCEPT_KEY = "placement.meshctl.dev/accept-key"
"""On a ClusterRegistration: the fingerprint of a key that may take the place of the pinned one."""
ANNOTATION_FORCE_LEAVE = "placement.meshctl.dev/force-leave"
"""On a registration that is being deleted, "true": its member is not waited for."""
ANNOTATION_REFUSED = "placement.meshctl.dev/refused"
"""On the Secret `AGENT_SETTINGS`: why the hub refused this member, with the next step."""
ANNOTATION_ACCEPT_AUTOMATICALLY = "placement.meshctl.dev/auto-accept"
"""On a bootstrap token's Secret, "true": who comes with it is accepted."""
ANNOTATION_CLAIMED_BY = "placement.meshctl.dev/claimed-by"
"""On a bootstrap token's Secret: "<cluster>/<fingerprint of its key>" of who came with it, by the hub."""
ANNOTATION_KEY = "placement.meshctl.dev/key"
"""On the ServiceAccount `AGENT_ACCOUNT`: the fingerprint of the agent's key that it was made for."""
ANNOTATION_CLOCK = "placement.meshctl.dev/clock"
"""On a claim: the time in the member when it was made, RFC 3339."""
ANNOTATION_TAKE_OVER = "placement.meshctl.dev/take-over"
"""On a Work without Assignment: Never, IfNoDiff or Always."""
ANNOTATION_TARGET = "placement.meshctl.dev/target"
"""On a Secret that an Assignment lists: where the member gets it, "namespace/name"."""
ANNOTATION_SOURCE = "placement.meshctl.dev/source"
"""On a Secret that a Placement brings: of which Secret of the hub it is a copy, "uid/resourceVersion"."""
ANNOTATION_INTENDED = "placement.meshctl.dev/intended"
"""On an AppliedWork: what is being applied for the first time, until its status says it."""
ANNOTATION_ACCOUNT = "placement.meshctl.dev/account"
"""On an AppliedWork: the user as whom its objects were applied, who deletes them too."""
ANNOTATION_REVISION = "placement.meshctl.dev/revision"
"""On a Work, by whoever decides: the revision of its Assignment that it was written for."""
ANNOTATION_DIGEST = "placement.meshctl.dev/digest"
"""On a Work that a Placement made: SHA-256 of its manifests, so that equal ones are not written again."""
ANNOTATION_FENCE_AFTER = "placement.meshctl.dev/fence-after-seconds"
"""On an AppliedWork, by the agent: `fenceAfterSeconds` of its Assignment, for when no hub is there to ask."""
ANNOTATION_FENCED = "placement.meshctl.dev/fenced-since"
"""On an AppliedWork whose workloads the agent has stopped, and on each of those (RFC 3339)."""
SECRETS_PREFIX = "secrets."
"""The AppliedWork of an Assignment's Secrets is called so, and then as the Assignment; no Work may be."""

ANNOTATION_KEEP_MESH = "placement.meshctl.dev/keep-mesh"
"""On a registration, "true": its member leaves the hub and stays in the clusterset of the mesh."""
ANNOTATION_KEEP = "placement.meshctl.dev/keep"
"""On a MeshPeer, "true": no hub has it deleted when its cluster leaves."""
ANNOTATION_CLEANUP_PRIORITY = "placement.meshctl.dev/cleanup-priority"
"""On a Work: a whole number, 0 without it; when its cluster leaves, lower ones are removed first."""
ANNOTATION_FORMERLY = "placement.meshctl.dev/formerly"
"""On a registration that was restored: the UIDs that it had before, with commas between them."""
ANNOTATION_LEFT = "placement.meshctl.dev/left"
"""On the Secret `AGENT_SETTINGS`: UID of the registration whose leaving this member has finished."""

TOMBSTONES = "meshctl-tombstones"
"""ConfigMap in kube-public of the hub: who was let go unasked, by the UID of the registration."""

TOKEN_GROUP_PREFIX = "system:bootstrappers:meshctl:"
"""Group of who shows a bootstrap token; the name of the ClusterSet follows."""
USER_PREFIX = "meshctl:cluster:"
"""User name of an agent with the driver `csr`; its cluster id follows."""
USER_GROUP = "meshctl:clusters"
KEY_GROUP_PREFIX = "meshctl:key:"
"""Group of who shows a certificate for one key, to which an agent's rights are bound; see `key_group`."""
SIGNER_CLIENT = "kubernetes.io/kube-apiserver-client"
SIGNER_CLAIM = "placement.meshctl.dev/claim"
"""A CertificateSigningRequest for it is never signed: it is how an agent with the driver `token` claims."""

CLAIM_ROLE = "placement-claim"
"""ClusterRole of who shows a bootstrap token: to claim, and to see what becomes of it."""
PROFILES_ROLE = "placement-profiles"
"""Role of a ClusterSet's profile namespace: to read the ClusterProfiles."""
TOKEN_ROLE = "placement-join"
"""Role of a member's namespace: to have the first token of `AGENT_ACCOUNT`."""
CLAIM_LIFE_SECONDS = 604800
"""expirationSeconds of an agent's client certificate."""
CLAIM_USAGES = ("client auth", "digital signature")

POOL_SUFFIX = ".pool.meshctl.dev"
"""End of the name of a ClusterProperty that counts something beyond nodes; it is the resource's name too."""

TAINT_INITIALISING = "meshctl.dev/initialising"
TAINT_UNREACHABLE = "meshctl.dev/unreachable"
TAINT_DATA_PLANE_DOWN = "meshctl.dev/data-plane-down"
TAINT_API_DOWN = "meshctl.dev/api-down"
TAINT_LEAVING = "meshctl.dev/leaving"
TAINT_DRAIN = "meshctl.dev/drain"

ANNOTATION_FAILBACK = "placement.meshctl.dev/failback"
"""On a Placement, by a person: "<RFC 3339 time> [<cluster>]"; back once, where `failback.mode` is Manual."""
ANNOTATION_API_LOST = "placement.meshctl.dev/api-lost-since"
"""On the Lease of an agent, by that: since when its own API server does not answer (RFC 3339)."""

LABEL_CLUSTER_MANAGER = "x-k8s.io/cluster-manager"
CLUSTER_MANAGER = "clusterset-mesh"
LABEL_DECISION_KEY = "multicluster.x-k8s.io/decision-key"
LABEL_DECISION_INDEX = "multicluster.x-k8s.io/decision-index"
LABEL_PLACEMENT_KEY = "multicluster.x-k8s.io/placement-key"
"""On PlacementDecisions, by cluster-inventory-api: which belong together, their order, what they are for."""
LABEL_DECISION_REVISION = "multicluster.x-k8s.io/decision-revision"
"""Only the text of KEP-5313 has it: which of them are of one decision."""
LABELS_OF_SET_NAMESPACE = ("multicluster.x-k8s.io/clusterset", "clusterset.multicluster.x-k8s.io")
"""KEP-4322 says the second, the code of cluster-inventory-api the first: both are written."""

_LONGEST_NAME = 63
_LONGEST_OBJECT_NAME = 253


def agent_role(cluster: str) -> str:
    """Role, ClusterRole and their bindings of a member's agent on the hub."""
    return f"placement-agent-{cluster}"


def claim_name(cluster: str, *, fingerprint: str) -> str:
    """The CertificateSigningRequest by which the key with `fingerprint` ("sha256:<hex>") claims `cluster`."""
    return f"meshctl-{cluster}-{fingerprint.removeprefix('sha256:')[:10]}"


def renewal_name(cluster: str, *, fingerprint: str) -> str:
    """The CertificateSigningRequest by which the same key has its certificate renewed."""
    return f"{claim_name(cluster, fingerprint=fingerprint)}-renewal"


def key_group(fingerprint: str) -> str:
    """Group of the agent whose key has `fingerprint` ("sha256:<hex>").

    A certificate outlives its registration and cannot be taken back: its user name may be another's by then.
    """
    return f"{KEY_GROUP_PREFIX}{fingerprint.removeprefix('sha256:')[:32]}"


def cluster_namespace(cluster: str) -> str:
    """A cluster's namespace on the hub; an id of more than 55 characters is cut and gets a hash."""
    name = f"cluster-{cluster}"
    if len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(cluster.encode()).hexdigest()[:10]
    return f"{name[: _LONGEST_NAME - 11].rstrip('-')}-{digest}"


def placed_name(namespace: str, *, name: str) -> str:
    """The Assignment and Work of a Placement in each member's namespace; it is a label's value too.

    Namespaces have no dot, so no two Placements share one. What is too long, or would be called as Secrets
    are, is cut and gets a hash.
    """
    full = f"{namespace}.{name}"
    if len(full) <= _LONGEST_NAME and not full.startswith(SECRETS_PREFIX):
        return full
    digest = hashlib.sha256(full.encode()).hexdigest()[:10]
    return f"{namespace}-{name}"[: _LONGEST_NAME - 11].rstrip("-.") + f"-{digest}"


def copied_secret_name(placed: str, *, secret: str) -> str:
    """The copy of a Secret that the Placement called `placed` brings, in each member's namespace there."""
    full = f"{placed}.{secret}"
    if len(full) <= _LONGEST_OBJECT_NAME:
        return full
    digest = hashlib.sha256(full.encode()).hexdigest()[:10]
    return full[: _LONGEST_OBJECT_NAME - 11].rstrip("-.") + f"-{digest}"
