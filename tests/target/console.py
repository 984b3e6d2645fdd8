"""The hypervisor's console: one UART, several speakers.

Every line begins with its source: `store| text`. A line that another source interrupted ends early
and goes on later as `store> rest`. Machine-readable lines are `penstock| @ event {json}`.
"""

import json
import re
from dataclasses import dataclass, field

_LINE = re.compile(r"^([A-Za-z0-9_.-]+)(\||>) ?(.*)$")
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass
class Line:
    source: str
    text: str
    seconds: float  # since the board was started


@dataclass
class Event:
    name: str
    fields: dict
    seconds: float


@dataclass
class Console:
    """Takes the UART's bytes as they come; `lines` holds what has been said so far, joined.

    With `only` set, the UART belongs to that source alone, and lines have no prefix (bare board).
    A line that goes on (`>`) is joined to its beginning, so the text of an earlier element of
    `lines` can still grow.
    """

    only: str | None = None
    lines: list[Line] = field(default_factory=list)
    _rest: str = ""
    _last: dict[str, Line] = field(default_factory=dict)

    def feed(self, data: bytes, seconds: float) -> None:
        text = self._rest + data.decode("utf-8", "replace")
        *whole, self._rest = text.split("\n")
        for each in whole:
            self._take(_ESCAPES.sub("", each).rstrip("\r"), seconds)

    def _take(self, line: str, seconds: float) -> None:
        if self.only is not None:
            self.lines.append(Line(self.only, line, seconds))
            return
        match = _LINE.match(line)
        if match is None:
            self.lines.append(Line("", line, seconds))
            return
        source, mark, text = match.groups()
        if mark == ">" and source in self._last:
            self._last[source].text += text
            return
        self._last[source] = Line(source, text, seconds)
        self.lines.append(self._last[source])

    def of(self, source: str) -> list[Line]:
        return [line for line in self.lines if line.source == source]

    def text(self, source: str) -> str:
        return "\n".join(line.text for line in self.of(source))

    def events(self) -> list[Event]:
        found = []
        for line in self.of("penstock"):
            match = re.match(r"^@ ([a-z_-]+) (\{.*\})\s*$", line.text)
            if match:
                try:
                    found.append(Event(match[1], json.loads(match[2]), line.seconds))
                except json.JSONDecodeError as error:
                    raise ValueError(f"not JSON: {line.text!r}") from error
        return found

    def audits(self) -> list[dict]:
        """What the hypervisor found when it compared its state with the configuration."""
        return [event.fields for event in self.events() if event.name == "audit"]

    def results(self, source: str) -> list[str]:
        """What the guest said after RESULT."""
        return [line.text.split("RESULT ", 1)[1] for line in self.of(source)
                if "RESULT " in line.text]


def fields(result: str) -> dict[str, str]:
    """The key=value words of a result line."""
    return dict(word.split("=", 1) for word in result.split() if "=" in word)
