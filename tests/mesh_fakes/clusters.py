"""A cluster for commands: an `ObjectServer` with what a real one has, and controllers that do their part."""

import base64
from datetime import UTC, datetime

from mesh_core.identity import Component, Identity, cluster_id, domain
from mesh_core.names import CONTROLLER, PROPERTY_CLUSTER_ID, SIGNER_INTERMEDIATE, SYSTEM_NAMESPACE
from mesh_fakes.object_server import Object, ObjectServer
from mesh_runtime.pki import new_key
from mesh_runtime.signing_request import make_request

MESH = "meshctl.dev/v1alpha1"
REQUEST = "meshctl-intermediate-test"
COREFILE = ".:53 {\n    errors\n    reload\n}\n"


def bare_cluster(name: str, *, corefile: str = COREFILE) -> ObjectServer:
    """A cluster without any of ours; `corefile` "" is one whose DNS is not CoreDNS."""
    server = ObjectServer()
    server.put("v1", "namespaces", {"metadata": {"name": "kube-system", "uid": f"uid-of-{name}"}})
    address = {"type": "InternalIP", "address": f"10.0.0.{len(name)}"}
    ready = {"type": "Ready", "status": "True"}
    status = {"addresses": [address], "conditions": [ready]}
    server.put("v1", "nodes", {"metadata": {"name": f"{name}-1"}, "status": status})
    if corefile:
        meta = {"name": "coredns", "namespace": "kube-system"}
        server.put("v1", "configmaps", {"metadata": meta, "data": {"Corefile": corefile}})
    server.reactions += [_establish, _allocate]
    return server


def with_controllers(server: ObjectServer) -> ObjectServer:
    """Pods run as soon as they are asked for, and the controller asks for its intermediate."""
    server.reactions += [_roll_out, _ask_for_intermediate]
    return server


def with_connected_peers(server: ObjectServer) -> ObjectServer:
    """Whatever peer is written is connected at once."""
    server.reactions.append(_connect)
    return server


def make_member(server: ObjectServer, *, cluster: str, root: str = "root") -> None:
    """The objects by which a cluster is a member."""
    _put_named(server, "about.k8s.io/v1beta1", "clusterproperties", PROPERTY_CLUSTER_ID, {"value": cluster})
    spec = {"domain": "clusterset.internal", "generation": 1, "roots": [root]}
    _put_named(server, MESH, "trustbundles", "clusterset", spec)
    port = {"name": "mesh", "port": 15443, "nodePort": 30000 + len(cluster)}
    meta = {"name": "meshctl-gateway", "namespace": SYSTEM_NAMESPACE}
    server.put("v1", "services", {"metadata": meta, "spec": {"type": "NodePort", "ports": [port]}})


def _put_named(server: ObjectServer, version: str, plural: str, name: str, spec: Object) -> None:
    server.put(version, plural, {"metadata": {"name": name}, "spec": spec})


def _establish(server: ObjectServer, item: Object) -> None:
    if item.get("kind") == "CustomResourceDefinition" and "status" not in item:
        condition = {"type": "Established", "status": "True"}
        body = {"metadata": {"name": item["metadata"]["name"]}, "status": {"conditions": [condition]}}
        server.put("apiextensions.k8s.io/v1", "customresourcedefinitions", body)


def _allocate(server: ObjectServer, item: Object) -> None:
    if item.get("kind") == "Service" and "clusterIP" not in item["spec"]:
        address = f"10.96.0.{len(server.objects) % 250}"
        server.put("v1", "services", {"metadata": item["metadata"], "spec": {"clusterIP": address}})


def _roll_out(server: ObjectServer, item: Object) -> None:
    wanted = item.get("spec", {}).get("replicas", 1)
    if item.get("kind") == "Deployment" and item.get("status", {}).get("replicas") != wanted:
        counts = dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas"), wanted)
        body = {"metadata": item["metadata"], "status": {"observedGeneration": 9, **counts}}
        server.put("apps/v1", "deployments", body)


def _ask_for_intermediate(server: ObjectServer, item: Object) -> None:
    if (item.get("kind"), item["metadata"]["name"]) != ("Deployment", CONTROLLER):
        return
    if server.find("certificatesigningrequests", REQUEST) is not None:
        return
    name = server.get("clusterproperties", PROPERTY_CLUSTER_ID)["spec"]["value"]
    named = domain(server.get("trustbundles", "clusterset")["spec"]["domain"])
    wish = Identity(cluster=cluster_id(name), component=Component.CONTROLLER, domain=named)
    spec = {
        "request": base64.b64encode(make_request(new_key(), identity=wish)).decode(),
        "signerName": SIGNER_INTERMEDIATE,
        "username": f"system:serviceaccount:{SYSTEM_NAMESPACE}:{CONTROLLER}",
    }
    body = {"metadata": {"name": REQUEST}, "spec": spec}
    server.put("certificates.k8s.io/v1", "certificatesigningrequests", body)


def _connect(server: ObjectServer, item: Object) -> None:
    if {"gateways", "dial"} & item.get("spec", {}).keys() and "status" not in item:
        condition = {
            "type": "Connected",
            "status": "True",
            "reason": "Synced",
            "observedGeneration": 9,
            "lastTransitionTime": datetime(2026, 1, 1, tzinfo=UTC).isoformat(),
        }
        body = {"metadata": item["metadata"], "status": {"conditions": [condition]}}
        server.put(MESH, "meshpeers", body)
