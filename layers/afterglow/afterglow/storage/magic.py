"""The magic number of our binary files: three letters for the kind, and a digit for the format."""

from afterglow.errors import Corrupt, UnsupportedFormat


def require(found: bytes, magic: bytes, name: str, description: str) -> None:
    """Check the first bytes of the file `name`, which should be e.g. `a log batch`.

    Raises UnsupportedFormat where another release wrote a file of this kind, Corrupt where it is none.
    """
    if found == magic:
        return
    if len(found) == len(magic) and found[:-1] == magic[:-1] and found[-1:].isdigit():
        raise UnsupportedFormat(name, int(found[-1:]), int(magic[-1:]))
    raise Corrupt(f"{name} is not {description} of a known version")
