"""The console: a page at `/` on which a person looks at the collections, searches them and edits their records.

The page is a client like any other: it calls the API of the server that it came from and nothing else. The room holds
the page's files, which need no build step, and says how a browser may use them. It imports no other room.
"""
