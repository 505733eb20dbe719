"""Runs nginx with the site of `deploy/nginx` on free loopback ports; nginx is installed, or unpacked in `.nginx`."""

import contextlib
import getpass
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import bcrypt

from tests.docs.generated import ROOT
from tests.support.server import HOST, Server, free_port

SITE = ROOT / "deploy" / "nginx" / "afterglow.conf"
LAN_SITE = SITE.with_name("afterglow-lan.conf")
NAME = "localhost"
USER = "chroma"
PASSWORD = "correct horse: battery"
_UNPACKED = ROOT / ".nginx" / "usr" / "sbin" / "nginx"
_MAIN = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


def program() -> str | None:
    """The path of nginx, if it is installed."""
    if _UNPACKED.is_file():
        return str(_UNPACKED)
    return shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")


@dataclass(frozen=True, slots=True)
class Proxy:
    """A running nginx: its ports with TLS and without, and the certificate to trust."""

    tls: int
    plain: int
    certificate: Path
    output: Path


def write_configuration(folder: Path, upstream: int) -> Proxy:
    """Writes the site with this test's addresses and files, its certificate, users and main configuration."""
    tls, plain = free_port(), free_port()
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
         "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME},IP:{HOST}", "-keyout", key,
         "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    users = folder / "users"
    users.write_text(f"{USER}:{bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(5)).decode()}\n")
    site = SITE.read_text()
    for pattern, text in (
        (r"\n *listen \[::\][^\n]*", ""),
        (r"listen 443 ssl", f"listen {HOST}:{tls} ssl"),
        (r"listen 80\b", f"listen {HOST}:{plain}"),
        (r"127\.0\.0\.1:8000", f"{HOST}:{upstream}"),
        (r"vectors\.example\.com;", f"{NAME} {HOST};"),
        (r"/etc/letsencrypt/\S*/fullchain\.pem", str(certificate)),
        (r"/etc/letsencrypt/\S*/privkey\.pem", str(key)),
        (r"/etc/nginx/afterglow\.htpasswd", str(users)),
    ):
        site, count = re.subn(pattern, text, site)
        assert count, pattern
    _write(folder, site)
    return Proxy(tls, plain, certificate, folder / "output")


def write_lan_configuration(folder: Path, upstream: int) -> int:
    """Writes the site for a local network with this test's addresses, and its main configuration; returns its port."""
    port, site = free_port(), LAN_SITE.read_text()
    for pattern, text in (
        (r"\n *listen \[::\][^\n]*", ""),
        (r"listen 8080\b", f"listen {HOST}:{port}"),
        (r"127\.0\.0\.1:8000", f"{HOST}:{upstream}"),
    ):
        site, count = re.subn(pattern, text, site)
        assert count, pattern
    _write(folder, site)
    return port


def _write(folder: Path, site: str) -> None:
    (folder / "site.conf").write_text(site)
    user = f"user {getpass.getuser()};\n" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(user + _MAIN.format(folder=folder))


def command(folder: Path) -> list[str]:
    """The command that starts nginx; with `-t` appended, it checks the configuration."""
    nginx = program()
    assert nginx is not None
    return [nginx, "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]


@contextlib.contextmanager
def running(folder: Path, server: Server) -> Iterator[Proxy]:
    """Runs nginx in front of the server for the duration of the block."""
    proxy = write_configuration(folder, server.port)
    with proxy.output.open("wb") as output:
        process = subprocess.Popen(command(folder), stdout=output, stderr=output, start_new_session=True)
    try:
        _wait(proxy, process)
        yield proxy
    finally:
        process.terminate()
        process.wait(30)


def _wait(proxy: Proxy, process: "subprocess.Popen[bytes]") -> None:
    context = ssl.create_default_context(cafile=str(proxy.certificate))
    deadline = time.monotonic() + 20
    while True:
        try:
            with contextlib.closing(_connect(proxy.tls, context)):
                return
        except OSError:
            assert process.poll() is None, proxy.output.read_text()
            assert time.monotonic() < deadline, "nginx does not answer"
            time.sleep(0.05)


def _connect(port: int, context: ssl.SSLContext) -> ssl.SSLSocket:
    plain = socket.create_connection((HOST, port), timeout=5)
    try:
        return context.wrap_socket(plain, server_hostname=NAME)
    except OSError:
        plain.close()
        raise
