"""Runs a board and waits for what its guests say.

Three ways to run one: the hypervisor's bundle on QEMU (`bundle_command`), the same by way of
`penstock run` (`Board.penstock_run`), and a Debian kernel directly on the same board without a
hypervisor (`bare_command`), which shows that a payload works before anything else is blamed.

Every wait has a deadline, and a missed one says what was waited for and what was last heard.
Processes are ended by their own process ids.
"""

import contextlib
import re
import subprocess
import threading
import time
from pathlib import Path
from typing import ClassVar

import paths
from console import Console

AUDIT = b"\x14a"  # Ctrl-T, then the audit's letter: an operator's command to the hypervisor
AUDIT_SECONDS = 60

MACHINE = "virt,gic-version=3,iommu=smmuv3,virtualization=on"


class Failure(Exception):
    """The board did not do what was expected of it."""


def board_command(machine: str = MACHINE, smp: int = 4, memory: str = "4G",
                  cpu: str = "cortex-a76") -> list[str]:
    return [paths.QEMU, "-M", machine, "-cpu", cpu, "-smp", str(smp), "-m", memory,
            "-nographic", "-nodefaults", "-serial", "stdio", "-monitor", "none"]


def bundle_command(bundle: Path, devices: list[str] | None = None, **board) -> list[str]:
    return [*board_command(**board), "-kernel", str(bundle), *(devices or [])]


def bare_command(kernel: Path, initrd: Path | None, cmdline: str,
                 devices: list[str] | None = None, **board) -> list[str]:
    board.setdefault("memory", "1G")
    board.setdefault("smp", 2)
    command = [*board_command(**board), "-kernel", str(kernel), "-append", cmdline]
    if initrd is not None:
        command += ["-initrd", str(initrd)]
    return [*command, "-no-reboot", *(devices or [])]


class Board:
    """One running board. Use as a context manager: leaving it ends what it started."""

    # Every board that was started and whose audits nobody has judged yet (see conftest.py).
    unjudged: ClassVar[list["Board"]] = []

    def __init__(self, command: list[str], log: Path, only: str | None = None,
                 follow: Path | None = None) -> None:
        """`log` gets all that the process prints. The console is what the process prints, or, with
        `follow`, the file of that name, as it grows."""
        self.command = [str(word) for word in command]
        self.console = Console(only=only)
        self._log = log
        self._follow = follow
        self._changed = threading.Condition()
        self._started = time.monotonic()
        self._over = False
        self._deaf = False  # it did not answer when it was asked for its last audit
        self._process: subprocess.Popen | None = None
        self._threads: list[threading.Thread] = []

    @staticmethod
    def penstock_run(config: Path, out: Path, extra: list[str] | None = None) -> "Board":
        out.mkdir(parents=True, exist_ok=True)
        console = out / "console.log"
        console.unlink(missing_ok=True)
        tool = paths.need(paths.TOOL, "./dev build")
        image = paths.need(paths.IMAGE, "./dev build")
        command = [str(tool), "run", str(config), "--out", str(out), "--hypervisor", str(image),
                   *(extra or [])]
        return Board(command, out / "tool.log", follow=console)

    def __enter__(self) -> "Board":
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._started = time.monotonic()
        self._process = subprocess.Popen(self.command, stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        Board.unjudged.append(self)
        self._start(self._read_output)
        if self._follow is not None:
            self._start(self._read_followed)
        return self

    def __exit__(self, *_exception) -> None:
        self.stop()

    def _start(self, run) -> None:
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self._threads.append(thread)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    @property
    def exit_status(self) -> int | None:
        return self._process.poll()

    def _feed(self, data: bytes) -> None:
        with self._changed:
            self.console.feed(data, self.seconds)
            self._changed.notify_all()

    def _read_output(self) -> None:
        with self._log.open("wb", buffering=0) as log:
            while data := self._process.stdout.read1(65536):
                log.write(data)
                if self._follow is None:
                    self._feed(data)
        self._process.wait()
        if self._follow is None:
            self._end()

    def _read_followed(self) -> None:
        position = 0
        while True:
            ended = self._process.poll() is not None
            if self._follow.exists():
                with self._follow.open("rb") as file:
                    file.seek(position)
                    data = file.read()
                position += len(data)
                if data:
                    self._feed(data)
            if ended:
                self._end()
                return
            time.sleep(0.1)

    def _end(self) -> None:
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def _tail(self) -> str:
        last = [f"  {line.source}| {line.text}" for line in self.console.lines[-25:]]
        own = self._log.read_text(errors="replace").splitlines()[-8:] if self._follow else []
        return "\n".join(["last heard:", *last, *[f"  {line}" for line in own]])

    def wait_for_any(self, pattern: str, seconds: float, what: str):
        """As wait_for(), whoever says it: also what has no source, such as a panic."""
        return self.wait_for("*", pattern, seconds, what)

    def wait_for(self, source: str, pattern: str, seconds: float, what: str, after: int = 0):
        """Waits until `source` has said a line that `pattern` is found in; returns the match.

        `after` skips that many matches: to see a thing for the second time, say 1.
        """
        deadline = time.monotonic() + seconds
        regex = re.compile(pattern)
        settled = False
        with self._changed:
            while True:
                matches = [m for line in self._said_by(source) if (m := regex.search(line.text))]
                if len(matches) > after:
                    if settled or self._over:
                        return matches[after]
                    # The line may have been interrupted and still go on: look again in a moment.
                    settled = True
                    self._changed.wait(0.2)
                    continue
                if self._over:
                    raise Failure(f"the board ended while waiting for {what}\n{self._tail()}")
                left = deadline - time.monotonic()
                if left <= 0:
                    raise Failure(f"waited {seconds:.0f} s for {what}\n{self._tail()}")
                self._changed.wait(min(left, 1.0))

    def _said_by(self, source: str):
        return self.console.lines if source == "*" else self.console.of(source)

    def all(self, source: str, pattern: str) -> list[re.Match]:
        """Every line of `source` that `pattern` was found in so far."""
        with self._changed:
            return [m for line in self._said_by(source) if (m := re.search(pattern, line.text))]

    def wait_end(self, seconds: float, what: str = "the board to end") -> int:
        deadline = time.monotonic() + seconds
        with self._changed:
            while not self._over:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise Failure(f"waited {seconds:.0f} s for {what}\n{self._tail()}")
                self._changed.wait(min(left, 1.0))
        return self._process.wait(timeout=10)

    def type(self, text: str, domain: int | None = None) -> None:
        """Types on the console. With `domain`, the hypervisor's input focus goes there first."""
        prefix = b"" if domain is None else b"\x14" + str(domain).encode()
        self._process.stdin.write(prefix + text.encode())
        self._process.stdin.flush()

    def audit(self, seconds: float = AUDIT_SECONDS) -> dict | None:
        """Asks the hypervisor for an audit; None when no answer came in time."""
        known = len(self.console.audits())
        deadline = time.monotonic() + seconds
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(AUDIT)
            self._process.stdin.flush()
        with self._changed:
            while len(found := self.console.audits()) == known:
                left = deadline - time.monotonic()
                if self._over or left <= 0:
                    return None
                self._changed.wait(min(left, 1.0))
        return found[known]

    def _has_booted(self) -> bool:
        """True once the hypervisor runs its domains: it then answers on its console."""
        said = {event.name for event in self.console.events()}
        return self.console.only is None and bool(said & {"memory", "end"})

    def audit_problems(self) -> list[str]:
        """What speaks against the hypervisor's state as it was in this run and at its end."""
        if not self._has_booted():
            return []
        audits = self.console.audits()
        found = [text for each in audits if not each["ok"] for text in each["violations"]]
        if found:
            return found
        deaf = self._deaf or not audits
        return [f"{self._log}: the hypervisor has not answered with an audit"] if deaf else []

    def stop(self) -> None:
        """Ends the process, gently first. A hypervisor that still runs is audited before."""
        if self._process is None:
            return
        if self._process.poll() is None:
            # The console of `penstock run` is the tool's.
            if self._follow is None and self._has_booted():
                self._deaf = self.audit() is None and not self._over
            self._process.terminate()
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(timeout=10)
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass  # the process left before it read everything that was typed
        for thread in self._threads:
            thread.join(timeout=10)
