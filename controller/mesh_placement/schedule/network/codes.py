"""The closed list of codes with which the network filters reject a cluster (section 5.2 of the plan)."""

from enum import StrEnum


class Code(StrEnum):
    """In the order in which the nearest to working is named first, where one cluster meets several."""

    PATH_UNKNOWN = "PathUnknown"
    PATH_DOWN = "PathDown"
    NO_READY_ENDPOINTS = "ExporterHasNoReadyEndpoints"
    POLICY_DENIED = "PolicyDenied"
    TRUST_MISMATCH = "TrustMismatch"
    CONNECTIVITY_DISABLED = "ConnectivityDisabled"
    NOT_EXPORTED = "DependencyNotExported"
    TOO_FEW = "TooFewExporters"
    TOO_FAR = "TooFar"
    CONSUMER_CANNOT_REACH = "ConsumerCannotReach"
    EXPORT_CONFLICT = "ExportConflict"
    GATEWAY_SATURATED = "GatewaySaturated"
    CERT_EXPIRES_SOON = "CertExpiresSoon"
