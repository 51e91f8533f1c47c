"""What a log says of lacking rights is found there, of whichever of our accounts, and of nobody else's."""

import json

import pytest

from mesh_fakes.bed_secrecy import denials_in

LEASES = 'cannot patch resource "leases" in API group "coordination.k8s.io" in the namespace "cluster-east"'


@pytest.mark.parametrize(
    ("said", "count"),
    [
        (f'User "system:serviceaccount:meshctl-system:placement-hub" {LEASES}', 1),
        (f'User "system:serviceaccount:cluster-east:agent" {LEASES}', 1),
        (f'User "meshctl:cluster:east" {LEASES}', 1),
        (f'User "ada" {LEASES}', 0),
        (f'User "system:serviceaccount:default:agent" {LEASES}', 0),
        (
            'clusterroles "a" is forbidden: user "system:serviceaccount:meshctl-system:placement-hub" '
            '(groups=["system:serviceaccounts" "system:authenticated"]) is attempting to grant RBAC '
            'permissions not currently held:\n{APIGroups:[""]}',
            1,
        ),
        (
            "secrets \"x\" is forbidden: ValidatingAdmissionPolicy 'placement-hub-fence' with binding "
            "'placement-hub-fence' denied request: the hub's program writes Secrets of clusters",
            1,
        ),
    ],
)
def test_a_denial_is_found_in_a_log(said: str, count: int) -> None:
    assert len(denials_in(said)) == count
    assert len(denials_in(json.dumps({"why": said}))) == count
