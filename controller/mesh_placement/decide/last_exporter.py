"""Which Services would have no exporter left without one cluster."""

from collections.abc import Mapping

from mesh_placement.objects import ClusterLink


def last_exports(links: Mapping[str, ClusterLink], *, cluster: str) -> tuple[str, ...]:
    """Services ("namespace/name", sorted) that `cluster` alone exports with ready endpoints.

    `links` are the rows of all clusters of the set. A cluster without a row is not counted as an exporter:
    a warning too much does less harm than one too few.
    """
    elsewhere = {
        export.service
        for name, link in links.items()
        if name != cluster
        for export in link.status.exports
        if export.ready
    }
    own = links.get(cluster)
    exports = own.status.exports if own is not None else ()
    return tuple(sorted({one.service for one in exports if one.ready} - elsewhere))
