"""What goes by the hub between a member and who holds the root's key: a request up, a signed statement down.

Neither is secret, and neither is believed for having come by the hub (decision 0030).
"""

import base64
import binascii
from collections.abc import Iterable
from typing import Final

import msgspec

from mesh_core.objects import CertificateSigningRequest, Secret
from mesh_core.objects.trust import Signed
from mesh_core.plan import Json
from mesh_core.signing import open_intermediate
from mesh_core.trust_statement import BadTrust, Held, read_statement
from mesh_placement.names import LABEL_CLUSTER, TRUST_SECRET

LONGEST_REQUEST: Final = 4096
"""Characters; a request of ours has some 500."""
_STATEMENT: Final = "statement"


def asked(requests: Iterable[CertificateSigningRequest]) -> str:
    """What the member's controller asks the root to sign, in PEM; "" where it asks for nothing."""
    request = open_intermediate(requests)
    if request is None:
        return ""
    try:
        pem = base64.b64decode(request.spec.request, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return pem if len(pem) <= LONGEST_REQUEST else ""


def statement_secret(statement: Signed, *, cluster: str, namespace: str) -> Json:
    """The Secret in a member's namespace of the hub by which the member hears of `statement`."""
    text = base64.b64encode(msgspec.json.encode(statement)).decode()
    meta = {"name": TRUST_SECRET, "namespace": namespace, "labels": {LABEL_CLUSTER: cluster}}
    return {"metadata": meta, "data": {_STATEMENT: text}}


def offered_by(secret: Secret | None) -> Held:
    """What such a Secret has, unchecked; nothing where it does not read."""
    text = secret.data.get(_STATEMENT, "") if secret is not None else ""
    try:
        signed = msgspec.json.decode(base64.b64decode(text, validate=True), type=Signed)
        return Held(statement=read_statement(signed.text), signed_statement=signed)
    except (binascii.Error, msgspec.DecodeError, BadTrust):
        return Held()
