"""What was checked of a run, and what its guests have said."""

from dataclasses import dataclass, field

from console import Console, fields


@dataclass
class Judgement:
    """What was checked, in the order of checking."""

    checks: list[tuple[str, bool, str]] = field(default_factory=list)

    def check(self, name: str, good: bool, detail: str = "") -> bool:
        self.checks.append((name, bool(good), detail))
        return bool(good)

    @property
    def ok(self) -> bool:
        return bool(self.checks) and all(good for _, good, _ in self.checks)

    @property
    def failed(self) -> list[str]:
        return [f"{name}: {detail}" if detail else name
                for name, good, detail in self.checks if not good]


class Results:
    """The RESULT lines of one guest."""

    def __init__(self, console: Console, domain: str) -> None:
        self.lines = console.results(domain)

    def all(self, *words: str) -> list[dict[str, str]]:
        """The key=value parts of all lines that begin with these words."""
        start = list(words)
        return [fields(line) for line in self.lines if line.split()[:len(start)] == start]

    def one(self, *words: str) -> dict[str, str]:
        found = self.all(*words)
        return found[-1] if found else {}

    def said(self, text: str) -> bool:
        return any(line.startswith(text) for line in self.lines)
