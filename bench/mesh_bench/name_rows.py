"""From what the changes of names took to rows of a report. Pure."""

from collections.abc import Mapping, Sequence

from mesh_bench.figures import Figure, Json, Row, percentile


def name_row(
    runs: Sequence[Mapping[str, Sequence[float]]],
    *,
    work: str,
    kind: str,
    errors: int,
    lost: Mapping[str, int],
    cpu: Sequence[Mapping[str, float]],
    load: float,
) -> Row:
    """Milliseconds until no pod is told the old answer any more; each run by station, as in `name_changes`.

    The median is of each run's p50. Beside it what the API server itself takes, and every station's p50 and
    p99; `lost` are questions without an answer in time, by server; `cpu` are seconds a change, by program,
    run by run.
    """
    return Row(
        work=work,
        params={"kind": kind},
        metric="change_to_answer_at_pod_ms",
        ours=_figure([run["coredns"] for run in runs]),
        peers={"api_server": _figure([run["api_server"] for run in runs])},
        detail={
            "stations_ms": _stations(runs),
            "runs_p50_ms": [
                round(1e3 * percentile(run["coredns"], share=0.5), 1) for run in runs if run["coredns"]
            ],
            "cpu_ms_per_change": {
                name: [round(1e3 * one[name], 1) for one in cpu] for name in (cpu[0] if cpu else ())
            },
            "lost_questions": dict(lost),
        },
        errors={"ours": errors},
        load=load,
    )


def _figure(runs: Sequence[Sequence[float]]) -> Figure:
    medians = tuple(1e3 * percentile(run, share=0.5) for run in runs if run)
    return Figure(medians, tuple(one for run in runs for one in run))


def _stations(runs: Sequence[Mapping[str, Sequence[float]]]) -> Json:
    """p50, p99 and the longest of all samples of each station that was passed."""
    made: Json = {}
    for station in runs[0] if runs else ():
        samples = [one for run in runs for one in run[station]]
        if samples:
            shares = {"p50": percentile(samples, share=0.5), "p99": percentile(samples, share=0.99)}
            made[station] = {
                name: round(1e3 * one, 1) for name, one in {**shares, "max": max(samples)}.items()
            }
    return made
