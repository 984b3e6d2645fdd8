"""One-line changes of C++ source that a good test notices: where they can be made, and how."""

import random
import re
from dataclasses import dataclass
from pathlib import Path

# What is replaced by what, each place in a line by itself.
SWAPS = [
    (r"(?<![<>=!&|+\-*/^])==(?!=)", "!="), (r"!=", "=="),
    (r" < ", " <= "), (r" > ", " >= "), (r" <= ", " < "), (r" >= ", " > "),
    (r" && ", " || "), (r" \|\| ", " && "),
    (r" \+ 1\b", ""), (r" - 1\b", ""), (r" \+ ", " - "),
    (r" \|= ", " &= "), (r"&= ~", "|= "), (r"& ~", "| "),
    (r"\btrue\b", "false"), (r"\bfalse\b", "true"),
]
CONDITION = re.compile(r"\b(?:if|while) \((?!const\b|auto\b)")
# Lines that hold no decision: declarations of types, text, assertions of the compiler, attributes.
NOT_CODE = re.compile(r"^\s*(//|#|\*|template|using|static_assert|namespace|class|struct|enum|public|private"
                      r"|case .*:|default:|\[\[|\}|extern|friend|return \{?\};)")
STATEMENT = re.compile(r"^\s+(?!return|break|continue|const\b|auto\b|static\b|constexpr\b|std::\w+ \w+;"
                       r"|throw|delete|goto|if|for|while|switch|do\b|else|[\w:<>,\s*&]+ \w+(\{.*\})?;"
                       r"|[\w:<>,*& ]+ \w+ = )[\w:\.\->\[\]\(\)]+.*;$")
LITERAL = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'')


@dataclass(frozen=True)
class Mutant:
    """Line `line` (from 1) of `path` reads `after` instead of `before`."""

    path: Path
    line: int
    before: str
    after: str

    def apply(self, text: str) -> str:
        lines = text.split("\n")
        assert lines[self.line - 1] == self.before
        lines[self.line - 1] = self.after
        return "\n".join(lines)


def code_of(line: str) -> str:
    """The line with comments cut off and literals blanked, each of the same length."""
    blank = LITERAL.sub(lambda m: m[0][0] + "~" * (len(m[0]) - 2) + m[0][0], line)
    return blank.partition("//")[0]


def closing(code: str, opening: int) -> int | None:
    """Where the parenthesis at `opening` is closed, if it is in this line."""
    depth = 0
    for at in range(opening, len(code)):
        depth += {"(": 1, ")": -1}.get(code[at], 0)
        if depth == 0:
            return at
    return None


def negations(path: Path, number: int, line: str, code: str) -> list[Mutant]:
    found = []
    for match in CONDITION.finditer(code):
        first, last = match.end(), closing(code, match.end() - 1)
        if last is not None and ";" not in code[first:last]:
            found.append(Mutant(path, number, line, f"{line[:first]}!({line[first:last]}){line[last:]}"))
    return found


def mutants_of_line(path: Path, number: int, line: str) -> list[Mutant]:
    code = code_of(line)
    if NOT_CODE.match(code) or not code.strip():
        return []
    found = []
    for pattern, replacement in SWAPS:
        for match in re.finditer(pattern, code):
            after = line[:match.start()] + replacement + line[match.end():]
            found.append(Mutant(path, number, line, after))
    found += negations(path, number, line, code)
    if STATEMENT.match(code) and code.count("(") == code.count(")"):
        indent = line[:len(line) - len(line.lstrip())]
        found.append(Mutant(path, number, line, indent + ";"))
    return found


def mutants_of(path: Path, text: str) -> list[Mutant]:
    """Every mutant of one file, in the order of its lines."""
    found, inside = [], False
    for number, line in enumerate(text.split("\n"), 1):
        inside = inside or line.lstrip().startswith("/*")
        if not inside:
            found += mutants_of_line(path, number, line)
        inside = inside and "*/" not in line
    return found


def draw(by_folder: dict[str, list[Mutant]], count: int, seed: int) -> list[Mutant]:
    """`count` mutants, as many from each folder as its share of all of them, one from each folder at
    least; no two in one line. What is drawn from a folder depends on the seed and on nothing in other folders."""
    total = sum(len(each) for each in by_folder.values())
    drawn: list[Mutant] = []
    for folder in sorted(by_folder):
        pool = by_folder[folder][:]
        random.Random(f"{seed} {folder}").shuffle(pool)
        wanted = max(1, round(count * len(pool) / total))
        lines: set[tuple[Path, int]] = set()
        for each in pool:
            if len(lines) == wanted:
                break
            if (each.path, each.line) not in lines:
                lines.add((each.path, each.line))
                drawn.append(each)
    return drawn
