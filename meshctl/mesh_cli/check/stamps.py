"""When our programs say that they wrote a Lease, beside when the API server says so.

A program writes its own time into `renewTime`, and the API server its own into `managedFields`: the
difference is that of two clocks, in both directions, and needs nobody to be dialled.
"""

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Raw, Struct, field

from mesh_cli.check.findings import Stamp
from mesh_core.names import peer_lease_name
from mesh_core.objects import Lease, Meta
from mesh_runtime.kube import Resource

_NOTHING: Final = Raw(b"{}")
_OF_A_PEER: Final = peer_lease_name(cluster="")


class _Entry(Struct, frozen=True, rename="camel", kw_only=True):
    """metav1.ManagedFieldsEntry."""

    time: str = ""
    fields_v1: Raw = field(default=_NOTHING, name="fieldsV1")


class _Meta(Meta, frozen=True, rename="camel", kw_only=True):
    managed_fields: tuple[_Entry, ...] = ()


class StampedLease(Lease, frozen=True, rename="camel", kw_only=True):
    """coordination/v1 Lease with who wrote what when."""

    metadata: _Meta

    @property
    def written(self) -> str:
        """When the API server last took a `renewTime`, by its own clock; "" when it does not say."""
        return max((one.time for one in self.metadata.managed_fields if _renews(one.fields_v1)), default="")


STAMPED_LEASES: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease", StampedLease)


def stamps_in(leases: Iterable[Lease]) -> tuple[Stamp, ...]:
    """Of every Lease by which a program says that it lives; one of a peer says when that was heard, which is
    earlier than it is written. A Lease that was read without its stamps says nothing."""
    return tuple(
        Stamp(one.metadata.name, one.spec.holder_identity or "", one.spec.renew_time, one.written)
        for one in leases
        if isinstance(one, StampedLease) and one.spec.renew_time and one.written
        if not one.metadata.name.startswith(_OF_A_PEER)
    )


def _renews(fields: Raw) -> bool:
    try:
        return "f:renewTime" in msgspec.json.decode(fields, type=dict[str, dict[str, object]]).get(
            "f:spec", {}
        )
    except msgspec.DecodeError:
        return False
