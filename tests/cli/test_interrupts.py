"""Ctrl-C that comes where nobody can hear of it."""

import os
import signal
from contextlib import suppress

import pytest

from afterglow.cli.interrupts import deferred_interrupt


def test_an_interrupt_that_was_swallowed_is_raised_at_the_next_step() -> None:
    before = signal.getsignal(signal.SIGINT)
    with deferred_interrupt() as check:
        check()
        with suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            check()
    assert signal.getsignal(signal.SIGINT) == before


def test_one_that_is_heard_is_raised_at_once() -> None:
    with pytest.raises(KeyboardInterrupt), deferred_interrupt():
        os.kill(os.getpid(), signal.SIGINT)
