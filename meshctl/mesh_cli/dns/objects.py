"""Reads what `dns_truth` goes by: the objects that decide what one name of the zone resolves to."""

from mesh_cli.dns.reply import Query, namespace_of, service_of
from mesh_cli.dns.truth import Objects, has_name
from mesh_core.names import LABEL_SERVICE_NAME
from mesh_core.objects import ServiceImport
from mesh_runtime.kube import ENDPOINT_SLICES, NAMESPACES, SERVICE_IMPORTS, KubeClient


async def objects_for(client: KubeClient, query: Query, *, name_servers: tuple[str, ...]) -> Objects:
    """The import that the name belongs to, and what decides about it. Of a namespace's own name, and of all
    of them, any import below that has a name: by it the name exists, and nothing else is said of it.
    """
    key = service_of(query.name)
    if key is not None:
        namespace, name = key
        imported = await client.find(SERVICE_IMPORTS, name, namespace=namespace)
        return await _objects(client, imported, namespace=namespace, name_servers=name_servers)
    below = namespace_of(query.name)
    if below is not None:
        every = (await client.list(SERVICE_IMPORTS, namespace=below)).items
        # Those whose names need no endpoint are sooner found.
        for one in sorted(every, key=lambda found: (found.spec.type != "ClusterSetIP", found.key)):
            seen = await _objects(client, one, namespace=one.metadata.namespace, name_servers=name_servers)
            if has_name(seen):
                return seen
    return Objects(name_servers=name_servers)


async def _objects(
    client: KubeClient, imported: ServiceImport | None, *, namespace: str, name_servers: tuple[str, ...]
) -> Objects:
    labels = f"{LABEL_SERVICE_NAME}={imported.metadata.name}" if imported is not None else ""
    slices = await client.list(ENDPOINT_SLICES, namespace=namespace, labels=labels) if labels else None
    return Objects(
        imported=imported,
        slices=slices.items if slices is not None else (),
        has_namespace=await client.find(NAMESPACES, namespace) is not None,
        name_servers=name_servers,
    )
