"""The workstation's side of guest `net`: a small HTTP server on the loopback interface.

QEMU's user network shows it to the guest as 10.0.2.2. It serves a file, takes it back, takes the
guest's checksum, and hands out the traitor's orders as soon as they are known.
"""

import base64
import hashlib
import random
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class Server:
    """Runs in threads of its own; use as a context manager."""

    def __init__(self, seed: int, nonce: str, file_bytes: int = 8 << 20) -> None:
        self.file = random.Random(seed).randbytes(file_bytes)
        self.digest = hashlib.sha256(self.file).hexdigest()
        self.nonce = nonce
        self.returned: list[tuple[str, str]] = []  # (nonce, SHA-256 of what came back)
        self.answers: list[tuple[str, str]] = []  # (nonce, SHA-256 as the guest saw it)
        self.log: list[str] = []
        self.asked_for_orders = threading.Event()
        self.done = threading.Event()
        self._orders: list[str] | None = None
        self._orders_known = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True

    @property
    def port(self) -> int:
        return self._http.server_address[1]

    @property
    def address_for_guest(self) -> str:
        return f"10.0.2.2:{self.port}"

    @property
    def verified(self) -> bool:
        """Both ends saw the same bytes, in both directions."""
        mine = (self.nonce, self.digest)
        return mine in self.returned and mine in self.answers

    def give_orders(self, orders: list[str]) -> None:
        self._orders = orders
        self._orders_known.set()

    def wait_orders(self, seconds: float) -> list[str] | None:
        self.asked_for_orders.set()
        self._orders_known.wait(seconds)
        return self._orders

    def __enter__(self) -> "Server":
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_exception) -> None:
        self._orders_known.set()
        self._http.shutdown()
        self._http.server_close()


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 600

        def log_message(self, format: str, *args) -> None:
            server.log.append(f"{time.strftime('%H:%M:%S')} {format % args}")

        def reply(self, data: bytes, status: int = 200) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def query(self, key: str) -> str:
            return parse_qs(urlsplit(self.path).query).get(key, [""])[0]

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            if path == "/file":
                self.reply(server.file)
            elif path == "/file.sha256":
                self.reply(server.digest.encode())
            elif path == "/answer":
                server.answers.append((self.query("nonce"), self.query("sha256")))
                good = server.answers[-1] == (server.nonce, server.digest)
                self.reply(b"right" if good else b"wrong")
            elif path == "/orders":
                orders = server.wait_orders(600)
                if orders is None:
                    self.reply(b"no orders", 503)
                else:
                    self.reply(" ".join(orders).encode())
            elif path == "/done":
                server.done.set()
                self.reply(b"thanks")
            else:
                self.reply(b"no such thing", 404)

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", "0"))
            try:
                data = base64.b64decode(self.rfile.read(length))
            except ValueError:
                data = b""
            digest = hashlib.sha256(data).hexdigest()
            server.returned.append((self.query("nonce"), digest))
            self.reply(b"same" if digest == server.digest else b"different")

    return Handler
