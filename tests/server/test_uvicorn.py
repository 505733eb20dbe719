"""The attributes of uvicorn's classes that the server uses although they are not a public interface.

An upgrade of uvicorn that moves one of them must fail here, by name, before anything else fails obscurely.
"""

import asyncio
import inspect
import re
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from afterglow.server.protocol import LimitedProtocol
from afterglow.server.request_parser import RequestParser
from afterglow.server.server import Server

PROTOCOL_PARAMETERS = ["self", "config", "server_state", "app_state", "_loop"]
PROTOCOL_ATTRIBUTES = ["config", "connections", "cycle", "flow", "loop", "parser", "pipeline", "transport"]
REQUEST_ATTRIBUTES = ["headers", "url"]
"""Attributes that the protocol has from `on_message_begin` on."""
CYCLE_ATTRIBUTES = [
    "body",
    "disconnected",
    "flow",
    "keep_alive",
    "message_event",
    "more_body",
    "response_complete",
    "response_started",
    "waiting_for_100_continue",
]
OVERRIDDEN = {
    "connection_made": ["self", "transport"],
    "connection_lost": ["self", "exc"],
    "data_received": ["self", "data"],
    "on_message_begin": ["self"],
    "on_url": ["self", "url"],
    "on_header": ["self", "name", "value"],
    "on_headers_complete": ["self"],
    "on_message_complete": ["self"],
    "on_response_complete": ["self"],
    "pause_writing": ["self"],
    "send_400_response": ["self", "msg"],
    "shutdown": ["self"],
}
OVERRIDDEN_IN_SERVER = {
    "startup": ["self", "sockets"],
    "shutdown": ["self", "sockets"],
    "capture_signals": ["self"],
}


async def _app(_scope: Any, _receive: Any, _send: Any) -> None:
    pass


def _protocol() -> HttpToolsProtocol:
    config = uvicorn.Config(_app, ws="none", log_config=None)
    config.load()
    return HttpToolsProtocol(config, ServerState(), {}, asyncio.new_event_loop())


def _parameters(function: object) -> list[str]:
    assert callable(function)
    return list(inspect.signature(function).parameters)


@pytest.mark.parametrize("name", OVERRIDDEN)
def test_the_protocol_overrides_an_existing_method(name: str) -> None:
    assert _parameters(getattr(HttpToolsProtocol, name)) == OVERRIDDEN[name]
    assert name in vars(LimitedProtocol)


def test_every_override_of_the_protocol_is_listed() -> None:
    overrides = {
        name for name in vars(LimitedProtocol) if not name.startswith("_") and hasattr(HttpToolsProtocol, name)
    }
    assert overrides == set(OVERRIDDEN)


@pytest.mark.parametrize("name", OVERRIDDEN_IN_SERVER)
def test_the_server_overrides_an_existing_method(name: str) -> None:
    assert _parameters(getattr(uvicorn.Server, name)) == OVERRIDDEN_IN_SERVER[name]
    assert name in vars(Server)


def test_the_protocol_constructor_has_the_same_parameters() -> None:
    assert _parameters(HttpToolsProtocol.__init__) == PROTOCOL_PARAMETERS


@pytest.mark.parametrize("name", PROTOCOL_ATTRIBUTES)
def test_the_protocol_has_the_attribute(name: str) -> None:
    protocol = _protocol()
    try:
        assert hasattr(protocol, name)
    finally:
        protocol.loop.close()


@pytest.mark.parametrize("name", REQUEST_ATTRIBUTES)
def test_the_protocol_has_the_attribute_during_a_request(name: str) -> None:
    protocol = _protocol()
    try:
        protocol.on_message_begin()
        assert hasattr(protocol, name)
    finally:
        protocol.loop.close()


def test_our_parser_has_every_method_that_the_protocol_calls() -> None:
    called = set(re.findall(r"self\.parser\.(\w+)", inspect.getsource(HttpToolsProtocol)))
    # The constructor sets it on httptools' parser, before ours takes the place of that one.
    called.remove("set_dangerous_leniencies")
    assert called == {name for name in vars(RequestParser) if not name.startswith(("_", "on_"))}


def test_our_parser_has_every_callback_of_the_protocol() -> None:
    defined = {name for name in vars(HttpToolsProtocol) if name.startswith("on_")} - {"on_response_complete"}
    protocol = _protocol()
    try:
        assert defined == {name for name in dir(RequestParser(protocol)) if name.startswith("on_")}
    finally:
        protocol.loop.close()


def test_a_connection_counts_itself() -> None:
    protocol = _protocol()
    try:
        assert protocol.connections is protocol.server_state.connections
    finally:
        protocol.loop.close()


@pytest.mark.parametrize("name", CYCLE_ATTRIBUTES)
def test_the_cycle_of_a_request_has_the_attribute(name: str) -> None:
    assert f"self.{name}" in inspect.getsource(RequestResponseCycle.__init__)


@pytest.mark.parametrize("name", ["read_paused", "resume_reading"])
def test_the_flow_control_has_the_attribute(name: str) -> None:
    assert hasattr(FlowControl, name) or f"self.{name}" in inspect.getsource(FlowControl.__init__)


@pytest.mark.parametrize("name", ["config", "server_state", "should_exit", "force_exit"])
def test_the_server_has_the_attribute(name: str) -> None:
    assert hasattr(uvicorn.Server(uvicorn.Config(_app, log_config=None)), name)


def test_the_server_reads_the_lifespan_state() -> None:
    assert "self.lifespan = config.lifespan_class(config)" in inspect.getsource(uvicorn.Server)
    assert "lifespan.state" in inspect.getsource(uvicorn.Server)


def test_the_config_accepts_a_protocol_class() -> None:
    config = uvicorn.Config(_app, http=LimitedProtocol, ws="none", log_config=None)
    config.load()
    assert config.http_protocol_class is LimitedProtocol
