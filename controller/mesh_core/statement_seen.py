"""Which statement this cluster once went by, so that losing it does not open the cluster to everybody.

Without a statement whatever the root has signed is believed (`mesh_core.trust`). A statement that peers
passed on stands in the status of the TrustBundle, and a backup may leave out every status. So its number is
noted beside the key of the intermediate, which no restored bundle takes back: once there was a statement,
its want is a fault and not a state of its own.
"""

from mesh_core.membership import Membership
from mesh_core.names import ANNOTATION_STATEMENT_SEEN
from mesh_core.objects import Secret


def note_for(membership: Membership, *, secret: Secret) -> str:
    """What the intermediate's Secret is to say of statements, "" where it says so or there is nothing to say.

    The number only grows, but for another clusterset.
    """
    domain, generation = _noted(secret)
    newest = membership.trust.generation
    is_newer = domain != membership.domain or newest > generation
    return f"{membership.domain}/{newest}" if newest and is_newer else ""


def lost_statement(membership: Membership | None, *, secret: Secret | None) -> str:
    """Why nothing may be believed although there are roots, as one sentence; "" where it may."""
    if membership is None or secret is None or membership.trust.generation:
        return ""
    domain, generation = _noted(secret)
    if not generation or domain != membership.domain:
        return ""
    return (
        f"the statement of generation {generation} that this cluster went by is gone; "
        "run meshctl link with a member, or meshctl join"
    )


def _noted(secret: Secret) -> tuple[str, int]:
    domain, _, number = secret.metadata.annotations.get(ANNOTATION_STATEMENT_SEEN, "").partition("/")
    is_number = number.isascii() and number.isdecimal() and len(number) < 20
    return (domain, int(number)) if is_number else ("", 0)
