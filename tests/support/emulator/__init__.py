"""An emulator of S3 with the latency of the real one, for benchmarks and tests of ranged reads.

Objects are files in a folder. Every response waits for a time to its first byte (log-normal) and is sent at a limited
rate, for its connection and in all; GETs beyond a rate are refused with 503 SlowDown. Requests of other services are
carried out by moto. `python -m tests.support.emulator FOLDER` prints its port.
"""
