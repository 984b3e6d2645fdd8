"""QEMU's gdb stub, for what no guest can do: change the board's memory and registers from outside.

While one talks to the stub the whole board stands still. `options()` goes on QEMU's command line.
"""

import contextlib
import socket
import tempfile
from pathlib import Path

SECONDS = 60


def options() -> tuple[list[str], Path]:
    """Words for QEMU, and the socket to be given to Stub. A short path: sockets have 108 bytes."""
    where = Path(tempfile.mkdtemp(prefix="penstock-")) / "gdb"
    return ["-chardev", f"socket,id=gdb,path={where},server=on,wait=off", "-gdb", "chardev:gdb"], where


class Stub:
    """A conversation with the stub. As a context manager: the board stands still inside."""

    def __init__(self, where: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(SECONDS)
        self._socket.connect(str(where))
        self._heard = b""

    def __enter__(self) -> "Stub":
        self.ask(b"?")
        return self

    def __exit__(self, *_exception) -> None:
        with contextlib.suppress(OSError):  # a board that runs again may end at once
            self.ask(b"D")
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(b"$" + data + b"#%02x" % (sum(data) & 0xff))

    def hear(self) -> bytes:
        """The next packet, acknowledged."""
        while b"#" not in self._heard or len(self._heard) < self._heard.index(b"#") + 3:
            more = self._socket.recv(4096)
            if not more:
                raise ConnectionError("QEMU has closed its gdb stub")
            self._heard += more
        end = self._heard.index(b"#")
        packet, self._heard = self._heard[:end], self._heard[end + 3:]
        self._socket.sendall(b"+")
        return packet[packet.rindex(b"$") + 1:]

    def ask(self, data: bytes) -> bytes:
        self.send(data)
        return self.hear()

    def _physical(self, request: bytes) -> bytes:
        self.ask(b"Qqemu.PhyMemMode:1")
        answer = self.ask(request)
        self.ask(b"Qqemu.PhyMemMode:0")
        if answer.startswith(b"E"):
            raise OSError(f"QEMU's gdb stub answers {answer!r} to {request!r}")
        return answer

    def read(self, address: int, size: int) -> bytes:
        """Physical memory, or a device's registers."""
        return bytes.fromhex(self._physical(b"m%x,%x" % (address, size)).decode())

    def write(self, address: int, data: bytes) -> None:
        self._physical(b"M%x,%x:%s" % (address, len(data), data.hex().encode()))
