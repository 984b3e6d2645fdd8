"""Rows of the report and the table that people read."""

from dataclasses import asdict, dataclass


@dataclass
class Figure:
    """One row. `budget` is the largest allowed `value`, in the same unit; without one, the row is a
    record. `ratio` is value / bare_metal."""

    name: str
    unit: str
    value: float
    bare_metal: float | None = None
    ratio: float | None = None
    budget: float | None = None
    ok: bool = True


def figure(name: str, unit: str, value: float, bare: float | None = None,
           budget: float | None = None) -> Figure:
    ratio = round(value / bare, 4) if bare else None
    value, bare, budget = (None if each is None else round(each, 3) for each in (value, bare, budget))
    return Figure(name, unit, value, bare, ratio, budget, budget is None or value <= budget)


def rows(figures: list[Figure]) -> list[dict]:
    return [asdict(each) for each in figures]


def _number(value: float | None) -> str:
    if value is None:
        return ""
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.3f}" if abs(value) < 100 else f"{value:,.1f}"


def table(figures: list[Figure]) -> str:
    head = ("", "unit", "value", "bare metal", "ratio", "budget", "")
    lines = [head]
    for each in figures:
        verdict = "" if each.budget is None else "ok" if each.ok else "MISSED"
        lines.append((each.name, each.unit, _number(each.value), _number(each.bare_metal),
                      "" if each.ratio is None else f"{each.ratio:.3f}", _number(each.budget),
                      verdict))
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    text = []
    for line in lines:
        cells = [cell.ljust(width) if column in (0, 1, 6) else cell.rjust(width)
                 for column, (cell, width) in enumerate(zip(line, widths))]
        text.append("  ".join(cells).rstrip())
    return "\n".join(text)
