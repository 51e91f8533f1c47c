"""What can go wrong with an API server.

MeshError
  EnvironmentFault
    ApiError        it answered, with a refusal
    Unreachable     it did not answer
      NotTrusted    who answered showed no certificate that we believe
    BadAnswer       it answered what cannot be read
      TooMuch       it goes on beyond its bound (bounds.py)
    NotLeading      it was not asked, because another replica may lead by now
    PodRefused      the pod that it leads to did not do what was asked (channels.py)
  UserError
    KubeconfigError the way to it cannot be read
"""

from mesh_core.errors import EnvironmentFault, UserError


class ApiError(EnvironmentFault):
    """The API server answered with a refusal.

    `status` is the HTTP status, `reason` the machine-readable metav1.Status reason, `retry_after` the
    seconds that the server asked us to wait, 0.0 when it did not.
    """

    def __init__(self, *, status: int, reason: str, message: str, retry_after: float = 0.0) -> None:
        super().__init__(f"the API server refused ({status} {reason}): {message}", next_step=_advice(status))
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after

    @property
    def is_not_found(self) -> bool:
        """The object, or its kind, is not there."""
        return self.status == 404

    @property
    def is_conflict(self) -> bool:
        """Somebody else was faster: it exists already, or the resourceVersion is old."""
        return self.status == 409

    @property
    def is_gone(self) -> bool:
        """The resourceVersion asked for is too old to watch or page from: list again."""
        return self.status == 410


class Unreachable(EnvironmentFault):
    """The API server did not answer within its limit, or the connection broke."""

    def __init__(self, *, server: str, why: str) -> None:
        super().__init__(
            f"the API server at {server} does not answer ({why})",
            next_step="check that it runs and that the kubeconfig's address is right",
        )


class NotTrusted(Unreachable):
    """Who answers at the API server's address shows no certificate below the CA that we were given."""

    def __init__(self, *, server: str, why: str) -> None:
        super().__init__(server=server, why=why)
        self.what = f"who answers at {server} shows no certificate that is believed here ({why})"
        self.next_step = "if the API server has a new CA, give that one; if not, find out who answers"


class BadAnswer(EnvironmentFault):
    """The API server's answer is not what the resource should be."""

    def __init__(self, *, path: str, why: str) -> None:
        super().__init__(
            f"the API server's answer about {path} cannot be read ({why})",
            next_step="look at that object, and at the CRD's version",
        )


class NotLeading(EnvironmentFault):
    """A write of a leader whose Lease may be somebody else's by now; nothing was sent."""

    def __init__(self) -> None:
        super().__init__(
            "another replica may lead by now, so nothing is written",
            next_step="see who holds the Lease; after a pause of this process it stands for election again",
        )


class KubeconfigError(UserError):
    """The kubeconfig, or the context asked for, cannot be used."""


def _advice(status: int) -> str:
    match status:
        case 401:
            return "renew the credentials of this context"
        case 403:
            return "ask for the missing permission, or use a context that has it"
        case 404:
            return "check the name, and that the kind's CRD is installed (meshctl join installs ours)"
        case 409:
            return "look at the object again and repeat"
        case 422 | 400:
            return "correct the object"
        case _:
            return "try again; if it stays, look into the API server's log"
