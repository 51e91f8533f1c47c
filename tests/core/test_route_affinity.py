"""ClientIP in the table of routes: both halves learn it from the ServiceImport (ruling 14)."""

import pytest
from msgspec import structs

from mesh_core.objects import ServiceImport
from mesh_core.objects.service import ClientIPConfig, SessionAffinityConfig
from mesh_fakes.route_objects import HELLO, headless, imported, local, remote, stand_in, table_of


def keeping(item: ServiceImport, *, seconds: int | None = None) -> ServiceImport:
    """The import with ClientIP."""
    config = (
        None if seconds is None else SessionAffinityConfig(client_ip=ClientIPConfig(timeout_seconds=seconds))
    )
    spec = structs.replace(item.spec, session_affinity="ClientIP", session_affinity_config=config)
    return structs.replace(item, spec=spec)


@pytest.mark.parametrize(
    ("item", "seconds"),
    [
        (imported(), None),
        (keeping(imported()), 10_800),
        (keeping(imported(), seconds=60), 60),
    ],
)
def test_a_service_keeps_its_clients_as_its_import_says(item: ServiceImport, seconds: int | None) -> None:
    table = table_of(remote("east"), local("10.244.0.5"), imports=[item])
    assert table.egress[20000].affinity == seconds
    assert table.ingress[HELLO].affinity is (seconds is not None)


def test_a_stand_in_has_one_endpoint_and_nothing_to_keep() -> None:
    table = table_of(stand_in("db-0"), imports=[keeping(headless())])
    assert table.egress[21000].affinity is None
