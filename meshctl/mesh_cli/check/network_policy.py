"""networking.k8s.io/v1 NetworkPolicy, as little of it as says whom it shuts out."""

from msgspec import Struct, field

from mesh_core.objects import KubernetesObject


class LabelSelector(Struct, frozen=True, rename="camel", kw_only=True):
    """metav1.LabelSelector; of the expressions it counts only that there are some."""

    match_labels: dict[str, str] = field(default_factory=dict)
    match_expressions: tuple[dict[str, object], ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether it picks everything."""
        return not self.match_labels and not self.match_expressions


class IPBlock(Struct, frozen=True, rename="camel", kw_only=True):
    """networking/v1 IPBlock."""

    cidr: str = ""


class PolicyPeer(Struct, frozen=True, rename="camel", kw_only=True):
    """networking/v1 NetworkPolicyPeer."""

    pod_selector: LabelSelector | None = None
    namespace_selector: LabelSelector | None = None
    ip_block: IPBlock | None = None


class PolicyRule(Struct, frozen=True, rename="camel", kw_only=True):
    """networking/v1 ingress and egress rule; the one has `from`, the other `to`."""

    to: tuple[PolicyPeer, ...] | None = ()
    from_: tuple[PolicyPeer, ...] | None = field(default=(), name="from")


class PolicySpec(Struct, frozen=True, rename="camel", kw_only=True):
    """networking/v1 NetworkPolicySpec."""

    pod_selector: LabelSelector = LabelSelector()
    policy_types: tuple[str, ...] = ()
    egress: tuple[PolicyRule, ...] | None = ()
    ingress: tuple[PolicyRule, ...] | None = ()


class NetworkPolicy(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """networking/v1 NetworkPolicy."""

    spec: PolicySpec = PolicySpec()
