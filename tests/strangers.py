"""How a stranger comes by the number of a file that the program closed behind a transport's back."""

from __future__ import annotations

import os
import socket
from typing import Any


def given_to(file: Any, stranger: socket.socket, *rest: Any) -> tuple[Any, ...]:
    """Close `file`, and return `stranger` with the number it had, and the rest."""
    number = file.fileno()
    file.close()
    os.dup2(stranger.fileno(), number)
    stranger.close()
    return socket.socket(fileno=number), *rest
