"""A board with a control domain, and the control domain's shell as a Python object."""

import itertools
import json
from dataclasses import dataclass
from pathlib import Path

import initramfs
import paths
import scenario

BOOT, ANSWER = 400, 120


@dataclass
class Child:
    """A domain that is to be created at run time: its files as the control domain has them."""

    domain: scenario.Domain

    def files(self) -> dict[str, Path | bytes]:
        name = self.domain.name
        toml = scenario.configuration([self.domain])
        toml = toml.replace(str(self.domain.kernel), f"/guests/{name}.image")
        files = {f"guests/{name}.image": self.domain.kernel}
        if self.domain.initrd is not None:
            toml = toml.replace(str(self.domain.initrd), f"/guests/{name}.cpio")
            files[f"guests/{name}.cpio"] = self.domain.initrd
        return {f"guests/{name}.toml": toml.encode(), **files}


def control_domain(folder: Path, children: list[scenario.Domain], cpus: list[int] | None = None,
                   kernel: str = "6.12", files: dict[str, Path | bytes] | None = None,
                   **more) -> scenario.Domain:
    """The control domain, with everything that its children need in its RAM disk, and `files`."""
    base = initramfs.build("control", kernel)
    files = dict(files or {})
    for child in children:
        files |= Child(child).files()
    initrd = initramfs.extend(base, files, folder / "control.cpio")
    more.setdefault("memory", (512 + 128 * max(1, len(children))) * scenario.MIB)
    return scenario.Domain("control", cpus or [0], paths.kernel_image(kernel), initrd,
                           "role=control", control=True, **more)


class Refused(Exception):
    """penstockctl ended with another status than 0."""

    def __init__(self, status: int, lines: list[str]) -> None:
        super().__init__(f"status {status}: " + " / ".join(lines))
        self.status, self.lines = status, lines


class Control:
    """Runs commands in the control domain. `number`: its place among the board's domains."""

    def __init__(self, board, number: int = 0, name: str = "control") -> None:
        self._board, self._number, self._name = board, number, name
        self._tags = (f"t{count}" for count in itertools.count(1))

    def wait_until_up(self, after: int = 0) -> None:
        self._board.wait_for(self._name, r"RESULT control listening", BOOT,
                             "the control domain to listen", after=after)

    def shell(self, command: str, seconds: float = ANSWER) -> tuple[int, list[str]]:
        tag = next(self._tags)
        self._board.type(f"{tag} {command}\n", domain=self._number)
        done = self._board.wait_for(self._name, rf"RESULT control done {tag} status=(\d+)", seconds,
                                    f"the control domain to do: {command}")
        lines = [m[1] for m in self._board.all(self._name, rf"^OUT {tag} (.*)$")]
        return int(done[1]), lines

    def ctl(self, words: str, seconds: float = ANSWER) -> list[str]:
        status, lines = self.shell(f"penstockctl {words}", seconds)
        if status != 0:
            raise Refused(status, lines)
        return lines

    def json(self, words: str, seconds: float = ANSWER):
        return json.loads("\n".join(self.ctl(f"{words} --json", seconds)))

    def domains(self) -> dict[str, dict]:
        return {each["name"]: each for each in self.json("list")["domains"]}

    def create(self, name: str, seconds: float = 300) -> None:
        self.ctl(f"create /guests/{name}.toml", seconds)
