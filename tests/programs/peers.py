"""The other side of the tests of servers: a client that reads exactly what was sent."""

from __future__ import annotations

import socket


class Connection:
    """One connection of a client that reads exactly what was sent and nothing else."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._received = b""

    def send(self, data: bytes) -> None:
        self._sock.sendall(data)

    def response(self, head_only: bool = False) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body of the next response."""
        head = self._until(b"\r\n\r\n").decode()
        status_line, *lines = head.split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
        body = b""
        if headers.get("transfer-encoding") == "chunked":
            while size := int(self._until(b"\r\n"), 16):
                body += self._exactly(size + 2)[:-2]
            self._exactly(2)
        elif not head_only:
            body = self._exactly(int(headers["content-length"]))
        return int(status_line.split()[1]), headers, body

    def at_end(self) -> bool:
        """Wait for the server to close; tell whether it did, without another byte."""
        return not self._received and self._sock.recv(1) == b""

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._received:
            self._more()
        before, _, self._received = self._received.partition(mark)
        return before

    def _exactly(self, size: int) -> bytes:
        while len(self._received) < size:
            self._more()
        data, self._received = self._received[:size], self._received[size:]
        return data

    def _more(self) -> None:
        data = self._sock.recv(65536)
        assert data, f"closed after {self._received!r}"
        self._received += data
