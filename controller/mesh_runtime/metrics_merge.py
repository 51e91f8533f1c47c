"""The metrics of several workers as one page (Prometheus's text format 0.0.4): each line says whose it is.

All lines of a metric stand together, with one HELP and one TYPE, as the format demands.
"""

from collections.abc import Mapping


def merged(pages: Mapping[str, str]) -> str:
    """One page out of those of the workers, by number; each sample gets the label `worker` first."""
    heads: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = {}
    for worker, page in sorted(pages.items()):
        family = ""
        seen: set[str] = set()
        for line in page.splitlines():
            if line.startswith(("# HELP ", "# TYPE ")):
                family = line.split(" ", 3)[2]
                if family not in heads or family in seen:
                    heads.setdefault(family, []).append(line)
                    seen.add(family)
            elif line and not line.startswith("#"):
                samples.setdefault(family, []).append(_labelled(line, worker=worker))
    lines: list[str] = []
    for family, found in samples.items():
        lines += heads.get(family, ())
        lines += found
    return "\n".join(lines) + "\n" if lines else ""


def _labelled(line: str, *, worker: str) -> str:
    """A sample is `name value` or `name{labels} value`; the name holds neither blank nor brace."""
    brace, blank = line.find("{"), line.find(" ")
    label = f'worker="{worker}"'
    if brace == -1 or blank < brace:
        return f"{line[:blank]}{{{label}}}{line[blank:]}"
    more = "" if line[brace + 1] == "}" else ","
    return f"{line[: brace + 1]}{label}{more}{line[brace + 1 :]}"
