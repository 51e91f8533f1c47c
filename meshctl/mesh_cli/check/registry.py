"""All checks, by ids that never change their meaning, and how they are run. Pure.

An id is `MESH-<AREA>-<NUMBER>`. One that is given up is never given again; what each means, and what to do
about it, is in docs/checks.md under the id.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from mesh_cli.check import (
    api,
    endpoints,
    hubs,
    live,
    mutual,
    names,
    peers,
    policies,
    programs,
    resolving,
    services,
    trust,
    versions,
    ways,
)
from mesh_cli.check.findings import Findings
from mesh_cli.check.verdict import Observed, Question, Result, sorted_result
from mesh_core.errors import UserError
from mesh_core.names import CONTROLLER, DNS, GATEWAY
from mesh_core.peer_identity import IDENTITY_USED_TWICE
from mesh_core.peer_status import CONNECTED, DIAL_AGREED, NETWORK_AGREED, PARTIAL_MESH, RECORDS_ACCEPTED
from mesh_core.reach import REACHABLE, TUNNEL_ACCEPTED

_ANSWER: Final = "make it visible to this machine, or ask for the right to read it; then check again"


@dataclass(frozen=True, slots=True)
class Check(Question):
    """A question about one cluster. `look` raises CouldNotLook when what it needs was not seen."""

    look: Callable[[Findings], Iterable[Observed]]


class UnknownCheck(UserError):
    """Somebody asked for a check that does not exist."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"there is no check {text!r}", next_step="use ids, or beginnings of ids, of docs/checks.md"
        )


CHECKS: Final = (
    Check("MESH-API-001", "the API server answers", api.server),
    Check("MESH-API-002", "the kinds are served in the versions that are needed", api.kinds),
    Check("MESH-API-003", "you have the rights that meshctl's commands need", api.rights),
    Check("MESH-API-004", "our programs have the rights that they need, and no others", api.rules),
    Check("MESH-API-005", "our pods are held to the restricted profile", api.pod_security),
    Check("MESH-API-006", "Kubernetes is new enough", versions.kubernetes),
    Check("MESH-CLOCK-001", "the cluster's clock agrees with this machine's", api.clock),
    Check("MESH-CLOCK-002", "the clusters' clocks agree", api.clocks),
    Check("MESH-CLOCK-003", "the clocks of our programs agree with the API server's", api.programs),
    Check("MESH-TRUST-001", "the cluster is a member, and says of which clusterset", trust.member),
    Check("MESH-TRUST-002", "the TrustBundle reads, and is signed", trust.bundle),
    Check("MESH-TRUST-003", "the roster knows this cluster and its peers", trust.roster),
    Check("MESH-TRUST-004", "the roots are good for long enough", trust.roots),
    Check("MESH-TRUST-005", "the intermediate is good for long enough", trust.intermediate_life),
    Check(
        "MESH-TRUST-006",
        "the intermediate is below our roots and the roster's",
        trust.intermediate_chain,
    ),
    Check("MESH-TRUST-007", "the intermediate's key is there", trust.secret),
    Check("MESH-TRUST-008", "no certificate request of ours waits", trust.requests),
    Check("MESH-TRUST-009", "who was evicted here is no peer", trust.refused_here),
    Check("MESH-TRUST-010", "nobody is behind in the generation of trust", trust.generations),
    Check(
        "MESH-TRUST-011",
        "the issuer of this cluster, and what it let in, is good for long enough",
        trust.issuer,
    ),
    Check("MESH-CERT-001", "the gateways show a certificate that is good", live.own_gateway),
    Check("MESH-CERT-002", "the controller shows a certificate that is good", live.own_controller),
    Check("MESH-CERT-003", "the peers' gateways show what this cluster believes", live.peers),
    Check("MESH-CERT-004", "what peers showed our gateways is good for long enough", ways.ends),
    Check("MESH-PEER-001", "the peers are connected", peers.condition(CONNECTED)),
    Check("MESH-PEER-002", "the peers were heard a moment ago", peers.contact),
    Check("MESH-PEER-003", "all that the peers export is taken", peers.condition(RECORDS_ACCEPTED)),
    Check("MESH-PEER-004", "the members are linked with each other", peers.condition(PARTIAL_MESH)),
    Check("MESH-PEER-005", "no id is used by two clusters", peers.condition(IDENTITY_USED_TWICE)),
    Check("MESH-PEER-006", "both sides say the same of networks", peers.condition(NETWORK_AGREED)),
    Check("MESH-PEER-007", "both sides agree on who dials", peers.condition(DIAL_AGREED)),
    Check("MESH-PEER-008", "traffic to the peers has a way", peers.condition(REACHABLE)),
    Check("MESH-PEER-009", "every gateway reaches every peer", peers.ways),
    Check("MESH-PEER-010", "tunnels are accepted", peers.condition(TUNNEL_ACCEPTED)),
    Check("MESH-PEER-011", "the peers reach this cluster, as they say themselves", mutual.reached),
    Check("MESH-PEER-012", "the peers dial this cluster where it is", mutual.addresses),
    Check("MESH-PATH-001", "a gateway of this cluster gets an answer from each peer now", ways.answered),
    Check("MESH-PATH-002", "packets of the usual size come through to the peers", ways.sizes),
    Check("MESH-GW-001", "the gateways run, two or more", programs.running(GATEWAY)),
    Check("MESH-GW-002", "the controllers run, two or more", programs.running(CONTROLLER)),
    Check("MESH-GW-003", "the gateways renew their Leases", programs.leases),
    Check("MESH-GW-004", "peers have an address to dial", programs.address),
    Check("MESH-GW-005", "there are egress ports left", programs.ports),
    Check("MESH-GW-006", "nothing ends TLS before the gateways", live.middlebox),
    Check("MESH-GW-007", "our programs are of one version", versions.programs),
    Check("MESH-DNS-001", "mesh-dns runs, two pods or more", programs.running(DNS)),
    Check("MESH-DNS-002", "cluster DNS sends the clusterset's zone to mesh-dns", names.stub),
    Check("MESH-DNS-003", "cluster DNS keeps no answers of ours", names.cache),
    Check("MESH-DNS-004", "a name of the clusterset resolves, and all on its way agree", resolving.resolves),
    Check("MESH-SVC-001", "the exports are valid and ready", services.exports),
    Check("MESH-SVC-002", "no export is in conflict", services.conflicts),
    Check("MESH-SVC-003", "what peers export arrives", services.imports),
    Check("MESH-SVC-004", "what is exported has an endpoint that is ready", endpoints.exported),
    Check("MESH-SVC-005", "what is imported leads to its endpoints", endpoints.imported),
    Check("MESH-SVC-006", "the endpoint sets agree across the clusters", endpoints.agreement),
    Check("MESH-SVC-007", "NetworkPolicies let callers out and gateways in", policies.callers),
    Check("MESH-PLACE-001", "the members of the hub are ready", hubs.members),
    Check("MESH-PLACE-002", "nobody waits for the hub to be let in, or to go", hubs.waiting),
    Check("MESH-PLACE-003", "the hub runs, and one of its pods leads", hubs.leads),
    Check("MESH-PLACE-004", "the agents of the hub are of one version", hubs.versions),
    Check("MESH-PLACE-005", "what the hub places is carried out", hubs.placements),
    Check("MESH-LEFT-001", "no derived object is without its import", services.leftovers),
    Check("MESH-LEFT-002", "nothing is left of clusters that are no peers", services.orphans),
)
"""In the order in which a reader wants to know."""


def chosen(only: Sequence[str]) -> tuple[Check, ...]:
    """The checks whose id is one of `only` or begins with one, in order; all when it is empty.

    Raises UnknownCheck for an entry that names none.
    """
    if not only:
        return CHECKS
    wanted = [word.upper() for word in only]
    for word in wanted:
        if not any(_is_named(check, word=word) for check in CHECKS):
            raise UnknownCheck(word[:60])
    return tuple(check for check in CHECKS if any(_is_named(check, word=word) for word in wanted))


def run_check(check: Check, findings: Findings) -> Result:
    """What `check` says; that it could not look, or found nothing to say, is UNKNOWN and never fine."""
    return sorted_result(
        check, context=findings.context, look=lambda: check.look(findings), next_step=_ANSWER
    )


def run_checks(checks: Iterable[Check], *, all_findings: Iterable[Findings]) -> tuple[Result, ...]:
    """Every check on every cluster, cluster by cluster."""
    listed = tuple(checks)
    return tuple(run_check(check, findings) for findings in all_findings for check in listed)


def _is_named(check: Check, *, word: str) -> bool:
    return check.id == word or check.id.startswith(f"{word.rstrip('-')}-")
