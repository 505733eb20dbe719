"""Listening sockets."""

import errno
import ipaddress
import socket

BACKLOG = 2048


class CannotListen(OSError):
    """The address is in use, not local, or invalid; the message is for the user."""


def listen(host: str, port: int) -> list[socket.socket]:
    """One listening socket for each address of `host`; port 0 selects a free port.

    Raises CannotListen.
    """
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        raise CannotListen(f"cannot listen on {host}: {getattr(error, 'strerror', None) or error}") from None
    sockets: list[socket.socket] = []
    for family, kind, number, _, address in dict.fromkeys(addresses):
        if sockets and port == 0:
            break
        try:
            sockets.append(_bound(socket.socket(family, kind, number), family, address))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL and len(addresses) > 1:
                continue
            for sock in sockets:
                sock.close()
            hint = "; choose another --port" if error.errno == errno.EADDRINUSE else ""
            reason = (error.strerror or str(error)).lower()
            raise CannotListen(f"cannot listen on {host}:{port}: {reason}{hint}") from None
    if not sockets:
        raise CannotListen(f"cannot listen on {host}:{port}: no such address on this machine")
    return sockets


def _bound(sock: socket.socket, family: int, address: object) -> socket.socket:
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)  # type: ignore[arg-type]
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def are_loopback(sockets: list[socket.socket]) -> bool:
    """Whether only this machine can connect to the sockets."""
    return all(ipaddress.ip_address(sock.getsockname()[0].partition("%")[0]).is_loopback for sock in sockets)


def url(host: str, sockets: list[socket.socket]) -> str:
    """The URL for clients, with the actual port."""
    port = sockets[0].getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
