"""Listening sockets, and how many files the process may hold open."""

import errno
import resource
import socket

BACKLOG = 2048
MOST_FILES = 65_536


class CannotListen(OSError):
    """The address is not free, not ours, or not an address; the message is for the user."""


def listen(host: str, port: int) -> list[socket.socket]:
    """One listening socket for each address `host` stands for; port 0 takes a free one.

    Raises CannotListen.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        raise CannotListen(f"cannot listen on {host}: {getattr(error, 'strerror', None) or error}") from None
    sockets: list[socket.socket] = []
    for family, kind, number, _, address in dict.fromkeys(found):
        if sockets and port == 0:
            break
        try:
            sockets.append(_bound(socket.socket(family, kind, number), family, address))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL and len(found) > 1:
                continue
            for each in sockets:
                each.close()
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


def url(host: str, sockets: list[socket.socket]) -> str:
    """The address to give to a client, with the port the system chose if it was left to it."""
    port = sockets[0].getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def raise_file_limit() -> None:
    """Lets the process open as many files and connections as it is allowed to ask for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
