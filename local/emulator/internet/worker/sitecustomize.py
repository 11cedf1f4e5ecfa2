"""Shows a Lambda worker the emulated internet; Python imports this at the start of a process with it on PYTHONPATH.

TALLY_INTERNET says, as JSON, which names there are, `"names": {NAME: [ADDRESS, ...]}`, and where connections to their
addresses lead, `"doors": {"ADDRESS:PORT": PORT_ON_LOOPBACK}`; of the `"domain"` there are no others. Only the system is
changed, below the function's own checks: what its resolver answers, and where a connection ends up.
"""

import errno
import json
import os
import socket
from typing import Any

_LOOPBACK = "127.0.0.1"
_TCP = 6


def _install(internet: dict[str, Any]) -> None:
    names, doors, domain = internet["names"], internet["doors"], f".{internet['domain']}"
    inside = {door.rpartition(":")[0] for door in doors}
    resolve, connect = socket.getaddrinfo, socket.socket.connect

    def getaddrinfo(host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> Any:
        name = (host.decode() if isinstance(host, bytes) else host or "").lower().rstrip(".")
        if not name.endswith(domain):
            return resolve(host, port, family, type, proto, flags)
        if name not in names:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, type or socket.SOCK_STREAM, proto or _TCP, "", (item, port)) for item in names[name]]

    def connect_inside(self: socket.socket, address: Any) -> None:
        if not isinstance(address, tuple) or address[0] not in inside:
            return connect(self, address)
        if (door := doors.get(f"{address[0]}:{address[1]}")) is None:
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        return connect(self, (_LOOPBACK, door))

    socket.getaddrinfo = getaddrinfo
    socket.socket.connect = connect_inside  # type: ignore[method-assign, assignment]  # the system, as this process is to see it


if "TALLY_INTERNET" in os.environ:
    _install(json.loads(os.environ["TALLY_INTERNET"]))
