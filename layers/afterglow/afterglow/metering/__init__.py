"""What a request used: the calls that AWS bills, and where its time went.

`usage` collects, in whatever thread works on the request. Where nothing is collecting,
as on one machine, every note is one look at a context variable.
"""

from afterglow.metering.usage import Usage, current, measuring, phase

__all__ = ["Usage", "current", "measuring", "phase"]
