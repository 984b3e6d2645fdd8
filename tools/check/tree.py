"""What the checks share: which files are ours, and what they include."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CPP = (".cpp", ".hpp")
TEST_ONLY = re.compile(r"(^test_|^fake_|_(test|fuzz|bench|fake)\.)")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def files(*suffixes: str) -> list[Path]:
    """Our files (those that git knows or would take), as paths below the repository, sorted."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                            cwd=ROOT, capture_output=True, text=True, check=True).stdout
    paths = sorted({Path(name) for name in listed.split("\0") if name})
    return [p for p in paths if (not suffixes or p.suffix in suffixes) and (ROOT / p).is_file()]


def text(path: Path) -> str:
    return (ROOT / path).read_text(encoding="utf-8", errors="replace")


def includes(path: Path) -> list[tuple[str, str, int]]:
    """(`<` or `"`, what is included, line number) for every #include of a file."""
    content = text(path)
    return [(m[1], m[2], content.count("\n", 0, m.start()) + 1) for m in INCLUDE.finditer(content)]


def is_test_only(path: Path) -> bool:
    return bool(TEST_ONLY.search(path.name))


def finish(problems: list[str], good: str) -> int:
    """Prints the problems, or one line when there are none; returns the exit status."""
    for problem in problems:
        print(problem)
    print(f"{len(problems)} problem(s)" if problems else good)
    return 1 if problems else 0
