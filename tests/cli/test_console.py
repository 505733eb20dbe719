"""Ctrl-C during a long loop."""

import os
import signal
from contextlib import suppress

import pytest

from afterglow.cli.console import deferred_interrupt


def test_a_discarded_interrupt_is_raised_again_at_the_next_step() -> None:
    before = signal.getsignal(signal.SIGINT)
    with deferred_interrupt() as check:
        check()
        with suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            check()
    assert signal.getsignal(signal.SIGINT) == before


def test_an_interrupt_is_raised_at_once() -> None:
    with pytest.raises(KeyboardInterrupt), deferred_interrupt():
        os.kill(os.getpid(), signal.SIGINT)
