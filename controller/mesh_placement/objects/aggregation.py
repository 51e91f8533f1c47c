"""What we read of the hub's aggregation layer: apiregistration.k8s.io/v1."""

from msgspec import Struct, field

from mesh_core.objects import KubernetesObject


class ApiServiceSpec(Struct, frozen=True, rename="camel", kw_only=True):
    """`ca_bundle` is base64 of PEM: by whom the server of the group is believed."""

    ca_bundle: str | None = field(default=None, name="caBundle")


class ApiService(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """A group version that somebody else than the API server serves; cluster-scoped."""

    spec: ApiServiceSpec = ApiServiceSpec()
