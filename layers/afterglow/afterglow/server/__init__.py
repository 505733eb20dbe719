"""Serves the ASGI app: sockets, limits on connections and bodies, one process or several.

::

    serve        one process: opens the deployment and serves it
    server       its connections, until a signal
    supervisor   several processes: accepts connections and passes each to the worker with the fewest
    ipc          the messages of a worker to its supervisor
    protocol     HTTP/1.1 on one connection, with limits on size and slowness
    refusals     the limits, and the responses to what exceeds them
    open_files   the limit of open files, shared among threads and connections
    sockets      listening sockets
    interpreter  settings of the Python interpreter
    logs         one line per event
    observe      metrics, traces and the access log of requests
    metrics      Prometheus' metrics
    observations of histograms, added up before they go into Prometheus' own
    traces       OpenTelemetry's traces
"""
