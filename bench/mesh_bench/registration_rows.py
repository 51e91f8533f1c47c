"""From what registration took to rows of a report. Pure."""

from collections.abc import Mapping, Sequence

from mesh_bench.figures import Figure, Params, Row, percentile
from mesh_bench.work_samples import Delivered, Filled, Idle

_BLOCKS = 3


def join_row(seconds: Sequence[float], *, params: Params, errors: int, load: float) -> Row:
    """Seconds from the agent's settings to Ready."""
    return Row(
        work="join",
        params=params,
        metric="settings_to_ready_s",
        ours=_blocks(seconds),
        recorded={"goal": "p99 < 3 s"},
        detail={"longest_s": round(max(seconds, default=0.0), 3)},
        errors={"ours": errors},
        load=load,
    )


def fill_row(filled: Filled, *, params: Params, load: float) -> Row:
    """Seconds until Works that were written as fast as the hub takes them are all applied."""
    return Row(
        work="fill",
        params={**params, "works": filled.written},
        metric="all_applied_s",
        ours=Figure((filled.applied,)),
        detail={
            "wanted": filled.wanted,
            "last_written_s": round(filled.wrote, 1),
            "works_per_second": round((filled.written - filled.missing) / filled.applied, 1),
        },
        errors={"ours": filled.missing},
        load=load,
    )


def work_rows(made: Delivered, *, params: Params, load: float) -> list[Row]:
    """Seconds from the write of a Work to its condition; beside it the API server's own way to a watch."""
    here = {"api_server": _blocks(made.here)}
    kinds = {"all": [*made.created, *made.changed], "new": made.created, "changed": made.changed}
    return [
        Row(
            work="work",
            params={**params, "works": kind},
            metric="work_to_applied_s",
            ours=_blocks(seconds),
            peers=here,
            recorded={"goal": "p99 < 1 s", "Karmada, pull": "0.99 s, as it publishes"},
            detail={"longest_s": round(max(seconds, default=0.0), 3)},
            errors={"ours": made.errors if kind == "all" else 0},
            load=load,
        )
        for kind, seconds in kinds.items()
    ]


def access_rows(seconds: Mapping[str, Sequence[float]], *, block: int, load: float) -> list[Row]:
    """Microseconds of a small GET through the access proxy beside a direct one, in blocks of `block`."""
    direct = _medians(seconds["direct"], block=block)
    return [
        Row(
            work="access",
            params={"way": way},
            metric="get_p50_us",
            ours=_medians(seconds[way], block=block),
            peers={"direct": direct},
            load=load,
        )
        for way in seconds
        if way != "direct"
    ]


def idle_row(idle: Idle, *, load: float) -> Row:
    """Requests a second that the hub's API server answers for each cluster when nothing happens."""
    clusters = idle.clusters or 1
    own = (idle.with_clusters - idle.without) / clusters
    return Row(
        work="idle",
        params={"clusters": idle.clusters, "seconds": round(idle.seconds)},
        metric="hub_requests_per_cluster_s",
        ours=Figure((own,)),
        recorded={"goal": "<= 0.2"},
        detail={
            "all_requests_s": round(idle.with_clusters, 3),
            "without_clusters_s": round(idle.without, 3),
            "all_per_cluster_s": round(idle.with_clusters / clusters, 3),
            "kinds": dict(idle.kinds),
        },
        load=load,
    )


def memory_rows(hub: float, agents: Sequence[float], *, params: Params, load: float) -> list[Row]:
    """MiB (PSS) of the hub and of the agents; the figure of the agents is their median."""
    return [
        Row(
            work="memory", params={**params, "of": name}, metric="pss_mib", ours=Figure(tuple(mib)), load=load
        )
        for name, mib in (("hub", [hub]), ("agent", agents))
        if mib
    ]


def _blocks(seconds: Sequence[float]) -> Figure:
    """The medians of thirds, in the order in which they were measured, and every sample."""
    size = -(-len(seconds) // _BLOCKS) or 1
    parts = [seconds[at : at + size] for at in range(0, len(seconds), size)]
    return Figure(tuple(percentile(part, share=0.5) for part in parts), tuple(seconds))


def _medians(seconds: Sequence[float], *, block: int) -> Figure:
    parts = [seconds[at : at + block] for at in range(0, len(seconds), block)]
    whole = {f"p{share}": percentile(seconds, share=share / 100) * 1e6 for share in (50, 99)}
    runs = tuple(percentile(part, share=0.5) * 1e6 for part in parts)
    return Figure(runs, p50_us=whole["p50"], p99_us=whole["p99"])
