"""What a ServiceImport says in DNS: which name, and which addresses (KEP-1645, section DNS).

1. Only an import of type ClusterSetIP has a name. It has it from the moment the import exists, so an import
   without addresses yet is an existing name without records, not a missing one.
2. An object name that is no DNS label is never spelled into a name: an import `a.b` in namespace `c` would
   answer for `a.b.c.svc...`, which the standard reserves for the cluster `a` of a Service `b`.
3. Text that is no address is left out.
"""

import re
from ipaddress import IPv4Address, IPv6Address

from mesh_core.objects import ServiceImport
from mesh_dns.wire import Address

MOST_ADDRESSES = 16
"""Addresses that one name answers with; the standard's CRD allows 2, another CRD may allow more."""

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def is_spellable(*, namespace: str, name: str) -> bool:
    """Whether an import of that name can have a DNS name at all."""
    return _LABEL.fullmatch(name) is not None and _LABEL.fullmatch(namespace) is not None


def has_name(imported: ServiceImport) -> bool:
    """Whether `<name>.<namespace>.svc.clusterset.local` exists because of this import."""
    meta = imported.metadata
    spellable = is_spellable(namespace=meta.namespace, name=meta.name)
    return spellable and imported.spec.type == "ClusterSetIP"


def addresses(texts: tuple[str, ...]) -> tuple[Address, ...]:
    """The addresses among `texts` in their order, each once, at most `MOST_ADDRESSES`."""
    found = (_address(text) for text in texts)
    return tuple(dict.fromkeys(one for one in found if one is not None))[:MOST_ADDRESSES]


def _address(text: str) -> Address | None:
    if "%" in text:
        return None  # a zone index means something on one machine only
    try:
        return IPv6Address(text) if ":" in text else IPv4Address(text)
    except ValueError:
        return None
