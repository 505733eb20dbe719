"""Serving the app: sockets, limits on what a client may do to a connection, one process or several.

::

    serve       one process: opens the directory, serves it until told to stop
    server      the event loop under it
    supervise   several: accepts connections and hands each to the worker that has fewest
    worker      what `supervise` starts
    words       what the two tell each other
    protocol    HTTP/1.1 on one connection, with limits on size and slowness
    admission   how many bytes of request bodies may be held at once
    sockets     listening
    process     the interpreter's own settings
    logs        one line per event
"""
