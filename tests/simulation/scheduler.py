"""Actors that run one at a time, in an order drawn from a seed.

An actor is a thread. It holds the baton from one scheduling point (`pause`, `sleep`, a lock that is taken) to the next;
there the scheduler draws the actor that runs on. So a run is a function of the seed alone, however the operating system
schedules the threads. Time is simulated: a pause takes a millisecond, and while everyone sleeps it leaps to the first
one that wakes.
"""

import threading
from collections.abc import Callable
from random import Random

STEP_SECONDS = 0.001


class Stopped(BaseException):
    """The run is over, as another actor failed. Not an Exception, so that no handler continues."""


class Deadlock(AssertionError):
    """No actor can run, or they run for ever."""


class Actor:
    """A thread, and when it may run."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.gate = threading.Semaphore(0)
        self.wakes_at = 0.0
        self.is_ready: Callable[[], bool] | None = None


class Scheduler:
    """Runs actors; `time` is in seconds, `steps` counts scheduling points."""

    def __init__(self, random: Random, time: float, *, switch: float, max_steps: int) -> None:
        """At a scheduling point another actor runs on with the probability `switch`."""
        self.time = time
        self.steps = 0
        self.on_step: Callable[[], None] = lambda: None
        self._random = random
        self._switch = switch
        self._max_steps = max_steps
        self._actors: list[Actor] = []
        self._current: Actor | None = None
        self._errors: list[BaseException] = []
        self._is_stopping = False
        self._is_over = threading.Semaphore(0)

    @property
    def actor(self) -> str:
        """The name of the actor that runs."""
        return "-" if self._current is None else self._current.name

    def spawn(self, name: str, body: Callable[[], None]) -> None:
        """Add an actor; it starts when it is drawn."""
        actor = Actor(name)
        self._actors.append(actor)
        threading.Thread(target=self._main, args=(actor, body), name=name, daemon=True).start()

    def run(self) -> None:
        """Run all actors to their ends. Raises the error of the first one that failed."""
        if not self._actors:
            return
        self._pass_on()
        self._is_over.acquire()
        if self._errors:
            raise self._errors[0]

    def pause(self) -> None:
        """A scheduling point: another actor may run before this one does."""
        self._check()
        actor = self._current
        if actor is None:
            return  # between two runs
        self.steps += 1
        if self.steps > self._max_steps:
            raise Deadlock(f"the run does not end within {self._max_steps} steps")
        self.time += STEP_SECONDS
        self.on_step()
        if self._random.random() < self._switch:
            self._yield(actor)

    def sleep(self, seconds: float) -> None:
        """Let the others run until so many seconds have passed."""
        self._check()
        if self._current is None:
            self.time += seconds
            return
        self._current.wakes_at = self.time + seconds
        self._yield(self._current)

    def wait(self, is_ready: Callable[[], bool]) -> None:
        """Let the others run until the condition holds."""
        self._check()
        if is_ready():
            return
        assert self._current is not None, "nobody else could make it true"
        self._current.is_ready = is_ready
        self._yield(self._current)
        self._current.is_ready = None

    def _check(self) -> None:
        if self._is_stopping:
            raise Stopped

    def _main(self, actor: Actor, body: Callable[[], None]) -> None:
        actor.gate.acquire()
        try:
            self._check()
            body()
        except Stopped:
            pass
        except BaseException as error:  # noqa: BLE001  raised by `run`
            self._errors.append(error)
            self._is_stopping = True
        self._actors.remove(actor)
        self._pass_on()

    def _pass_on(self) -> None:
        """Give the baton away for good."""
        self._current = self._draw()
        (self._is_over if self._current is None else self._current.gate).release()

    def _yield(self, actor: Actor) -> None:
        chosen = self._draw()
        if chosen is not None and chosen is not actor:
            self._current = chosen
            chosen.gate.release()
            actor.gate.acquire()
        self._check()

    def _draw(self) -> Actor | None:
        if self._is_stopping or not self._actors:
            return self._actors[0] if self._actors else None
        ready = self._ready()
        if not ready:
            waking = [actor.wakes_at for actor in self._actors if actor.wakes_at > self.time]
            if not waking:
                self._is_stopping = True
                self._errors.append(Deadlock(f"waiting for one another: {[actor.name for actor in self._actors]}"))
                return self._actors[0]
            self.time = min(waking)
            return self._draw()
        return self._random.choice(ready)

    def _ready(self) -> list[Actor]:
        return [
            actor
            for actor in self._actors
            if actor.wakes_at <= self.time and (actor.is_ready is None or actor.is_ready())
        ]


class SimulatedLock:
    """A lock whose waiters let others run: with a lock of the operating system, the holder of the baton would block."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._is_held = False

    def __enter__(self) -> "SimulatedLock":
        while self._is_held:
            self._scheduler.wait(lambda: not self._is_held)
        self._is_held = True
        return self

    def __exit__(self, *_: object) -> None:
        self._is_held = False

    def locked(self) -> bool:
        """Whether somebody holds it."""
        return self._is_held
