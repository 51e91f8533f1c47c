"""From what the works of the propagation benchmark saw to rows of its report. Pure.

Submariner Lighthouse's figures are quoted as they were recorded on this bed; it does not run beside us.
"""

from collections.abc import Mapping, Sequence

from mesh_bench.figures import Figure, Params, Row, percentile
from mesh_bench.results import Burst, FirstPass, Restart, Samples

LIGHTHOUSE_ONE = "Submariner Lighthouse (October 2024, same bed, earlier): 771 to 790 ms for one export"
LIGHTHOUSE_MANY = "Submariner Lighthouse (October 2024, same bed, earlier): about 3.6 s for each of a hundred"


def change_row(runs: Sequence[Samples], *, services: int, cpu_us: float, load: float) -> Row:
    """The median is of each run's p50; beside it what the API server itself takes."""
    return Row(
        work="propagation",
        params={"services": services, "clusters": 2},
        metric="change_to_event_elsewhere_ms",
        ours=_latency([run.elsewhere for run in runs], cpu_us=cpu_us),
        peers={"api_server": _latency([run.here for run in runs])},
        errors={"ours": sum(run.errors for run in runs)},
        load=load,
    )


def export_row(runs: Sequence[Samples], *, load: float) -> Row:
    """One export at a time."""
    return Row(
        work="one_export",
        params={"clusters": 2},
        metric="export_to_slice_elsewhere_ms",
        ours=_latency([run.elsewhere for run in runs]),
        recorded={"lighthouse": LIGHTHOUSE_ONE},
        errors={"ours": sum(run.errors for run in runs)},
        load=load,
    )


def burst_rows(runs: Sequence[Burst], *, exports: int, errors: int, withdrawn: Sequence[float]) -> list[Row]:
    """All times of a burst, and what it cost; details are of the last run."""
    params: Params = {"exports": exports, "clusters": 2}
    wrong = {"ours": errors + sum(run.missing for run in runs)}
    last = runs[-1]

    def row(metric: str, values: Sequence[float], detail: Mapping[str, object] | None = None) -> Row:
        figure = Figure(tuple(values))
        return Row("burst", params, metric, figure, detail=dict(detail or {}), errors=wrong, load=last.load)

    rows = [row("created_s", [run.created for run in runs])]
    for cluster in last.imported:
        rows.append(row(f"imported_in_{cluster}_s", [run.imported[cluster] for run in runs]))
        writes = [sum(run.writes[cluster].values()) / exports for run in runs]
        rows.append(row(f"api_writes_per_export_in_{cluster}", writes, last.writes[cluster]))
    rows.append(row("all_exports_ready_s", [run.ready for run in runs]))
    rows.append(row("cpu_ms_per_export", [1e3 * sum(run.cpu.values()) / exports for run in runs], last.cpu))
    rows += [row("withdrawn_everywhere_s", withdrawn)] if withdrawn else []
    recorded = {"lighthouse": LIGHTHOUSE_MANY}
    return [
        Row(one.work, one.params, one.metric, one.ours, recorded=recorded, errors=one.errors, load=one.load)
        if one.metric == "imported_in_west_s"
        else one
        for one in rows
    ]


def alone_rows(
    first: FirstPass, restarts: Sequence[Restart], *, services: int, endpoints: int, errors: int
) -> list[Row]:
    """What a controller with very many exports holds and costs."""
    params: Params = {"services": services, "endpoints": endpoints}
    wrong = {"ours": errors + first.missing}
    load = restarts[-1].load
    figures = {
        "resident_mib": [one.memory.now for one in restarts],
        "resident_peak_mib": [one.memory.peak for one in restarts],
        "idle_percent_of_a_core": [one.idle for one in restarts],
        "restart_to_ready_s": [one.ready for one in restarts],
        "restart_cpu_s": [one.cpu for one in restarts],
        "first_start_to_ready_s": [first.ready],
        "first_start_to_all_imported_s": [first.imported],
        "first_start_resident_mib": [first.memory.now],
        "first_start_resident_peak_mib": [first.memory.peak],
    }
    details = {"first_start_to_all_imported_s": {"cpu_s": first.cpu}}
    return [
        Row(
            "controller",
            params,
            metric,
            Figure(tuple(values)),
            detail=dict(details.get(metric, {})),
            errors=wrong,
            load=load,
        )
        for metric, values in figures.items()
    ]


def _latency(runs: Sequence[Sequence[float]], *, cpu_us: float | None = None) -> Figure:
    """Milliseconds: the p50 of each run in which anything came, and all samples together."""
    medians = [1e3 * percentile(run, share=0.5) for run in runs if run]
    return Figure(tuple(medians), tuple(one for run in runs for one in run), cpu_us)
