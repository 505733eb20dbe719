"""How a browser may use the console's files: the headers that confine the page.

The policy lets the page load scripts, styles and workers from its own origin only and send requests to it only, so a
text of a record cannot run or fetch anything even if a script displayed it as HTML.
"""

PACKAGE = "afterglow.console"
"""The package whose folder `static` holds the files."""

HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (
        b"content-security-policy",
        (
            b"default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; img-src 'self' data:; "
            b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-cache"),
)
"""Headers of every file of the console."""
