"""httptools' request parser without protocol upgrades, which this server never performs.

A client may offer an upgrade with any request (`Upgrade: h2c` from Java's HttpClient and from `curl --http2`), and a
server may ignore the offer (RFC 9110, section 7.8). httptools cannot: at the end of such a head it reports a complete
request without a body, and parses the body as the next request, which allows request smuggling. So this parser:

1. suppresses the callbacks at the end of a head that offers an upgrade;
2. passes the same head without its `Upgrade` headers to a new httptools parser, so all callbacks of the head run again;
3. passes the rest of the data, body and further requests, to the new parser.

A CONNECT request is a parse error, because the data after its head is not HTTP.
"""

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class ConnectRefused(Exception):
    """The request has the method CONNECT. httptools turns it into HttpParserCallbackError."""


class RequestParser:
    """The interface of `httptools.HttpRequestParser`, as far as uvicorn uses it.

    For a request that offers an upgrade the protocol's `on_message_begin`, `on_url` and `on_header` are called twice,
    the second time without the `Upgrade` headers, before `on_headers_complete`.
    """

    def __init__(self, protocol: HttpToolsProtocol) -> None:
        self._protocol = protocol
        # httptools calls these directly, without a call of this class in between.
        self.on_message_begin = protocol.on_message_begin
        self.on_url = protocol.on_url
        self.on_header = protocol.on_header
        self.on_body = protocol.on_body
        self._parser = self._new_parser()

    def feed_data(self, data: bytes) -> None:
        """Parse `data`, which may hold any part of a request or of several.

        Raises httptools.HttpParserError.
        """
        rest = memoryview(data)
        while True:
            try:
                self._parser.feed_data(rest)
            except httptools.HttpParserUpgrade as upgrade:
                rest = rest[upgrade.args[0] :]
            else:
                return
            head = self._head_without_upgrade()
            self._parser = self._new_parser()
            self._parser.feed_data(head)

    def get_http_version(self) -> str:
        """The version of the request, as in `1.1`."""
        return self._parser.get_http_version()

    def get_method(self) -> bytes:
        """The method of the request."""
        return self._parser.get_method()

    def should_keep_alive(self) -> bool:
        """Whether the connection may stay open after the response."""
        return self._parser.should_keep_alive()

    def should_upgrade(self) -> bool:
        """Always False."""
        return False

    # httptools' callbacks

    def on_headers_complete(self) -> None:
        """The head is complete, unless it offers an upgrade and will be parsed again."""
        if not self._parser.should_upgrade():
            self._protocol.on_headers_complete()
        elif self._parser.get_method() == b"CONNECT":
            raise ConnectRefused

    def on_message_complete(self) -> None:
        """The request is complete, unless its head offers an upgrade and will be parsed again."""
        if not self._parser.should_upgrade():
            self._protocol.on_message_complete()

    def _new_parser(self) -> httptools.HttpRequestParser:
        parser = httptools.HttpRequestParser(self)
        # As in uvicorn: data after a request with `Connection: close` does not spoil the response to that request.
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return parser

    def _head_without_upgrade(self) -> bytes:
        version = self._parser.get_http_version().encode("ascii")
        lines = [self._parser.get_method() + b" " + self._protocol.url + b" HTTP/" + version]
        lines += [name + b": " + value for name, value in self._protocol.headers if name != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])


def with_path(url: bytes) -> bytes:
    """An absolute URI without a path gets the path `/`; any other request target is returned as it is."""
    scheme, separator, rest = url.partition(b"://")
    end = next((i for i, byte in enumerate(rest) if byte in b"/?#"), len(rest))
    if not separator or rest[end : end + 1] == b"/":
        return url
    return scheme + separator + rest[:end] + b"/" + rest[end:]
