"""Sparse vectors of words, equal to those of Chroma's `ChromaBm25EmbeddingFunction`.

A text is split at everything but letters, digits and underscores, in lower case; stop words and very long words are
left out; the others are stemmed (Snowball, English) and hashed to a dimension. The weight of a word that occurs tf
times in a text of n words is Robertson's, without the IDF, which the query adds where the index asks for it::

    tf * (k + 1) / (tf + k * (1 - b + b * n / avg_doc_length))

Texts repeat their words, so the dimension of a word is computed once.
"""

import re
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from afterglow.embedding.function import EmbeddingFunction
from afterglow.embedding.murmur3 import murmur3_32
from afterglow.embedding.stopwords import ENGLISH
from afterglow.errors import InvalidArgument
from afterglow.records.sparse import TYPE_NAME

_SEPARATORS = re.compile(r"[^\w\s]+")
_MAX_CACHED_WORDS = 200_000
_NUMBERS = {"k": 1.2, "b": 0.75, "avg_doc_length": 256.0, "token_max_length": 40}
"""The parameters and their defaults."""


class Bm25:
    """One configuration. Safe for any number of threads."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Raises InvalidArgument for a configuration that the clients refuse, too."""
        numbers = {name: config.get(name, default) for name, default in _NUMBERS.items()}
        stopwords = config.get("stopwords")
        _validate(numbers, stopwords)
        self._k, self._b = float(numbers["k"]), float(numbers["b"])
        self._average = float(numbers["avg_doc_length"])
        self._max_length = int(numbers["token_max_length"])
        self._with_tokens = bool(config.get("include_tokens", False))
        self._stopwords = ENGLISH if stopwords is None else frozenset(word.lower() for word in stopwords)
        self._dimensions: dict[str, tuple[int, str] | None] = {}

    def encode(self, text: str) -> dict[str, Any]:
        """The sparse vector of a text, in its stored form; empty if no word is left."""
        words = _SEPARATORS.sub(" ", text).lower().split()
        found = [entry for entry in map(self._dimension, words) if entry is not None]
        counts = Counter(dimension for dimension, _ in found)
        norm = self._k * (1 - self._b + (self._b * float(len(found))) / self._average) if found else 0.0
        indices = sorted(counts)
        values = [counts[index] * (self._k + 1) / (counts[index] + norm) for index in indices]
        vector: dict[str, Any] = {"#type": TYPE_NAME, "indices": indices, "values": values}
        if self._with_tokens and found:
            names = dict(reversed(found))  # of several words with one dimension, the first
            vector["tokens"] = [names[index] for index in indices]
        return vector

    def _dimension(self, word: str) -> tuple[int, str] | None:
        """The dimension and the stem of a word, None for one that is left out."""
        try:
            return self._dimensions[word]
        except KeyError:
            entry = self._compute(word)
        if len(self._dimensions) >= _MAX_CACHED_WORDS:
            self._dimensions = {}
        self._dimensions[word] = entry
        return entry

    def _compute(self, word: str) -> tuple[int, str] | None:
        if word in self._stopwords or len(word) > self._max_length:
            return None
        stem = _stem(word)
        return (abs(murmur3_32(stem.encode("utf-8", "surrogatepass"))), stem) if stem else None


@lru_cache(maxsize=64)
def bm25(function: EmbeddingFunction) -> Bm25:
    """The encoder of a function with this name. Raises InvalidArgument."""
    return Bm25(function.config)


def _validate(numbers: Mapping[str, Any], stopwords: Any) -> None:
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise InvalidArgument(f"the BM25 function of the collection has an invalid {name}: {value!r}")
    if numbers["avg_doc_length"] <= 0:
        raise InvalidArgument("the BM25 function of the collection has an avg_doc_length of 0")
    if stopwords is not None and not _are_strings(stopwords):
        raise InvalidArgument("the BM25 function of the collection has stopwords that are not a list of strings")


def _are_strings(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str) and all(isinstance(word, str) for word in value)


_stemmer_lock = threading.Lock()


@lru_cache(maxsize=1)
def _stemmer() -> Any:
    import snowballstemmer

    return snowballstemmer.stemmer("english")


def _stem(word: str) -> str:
    # A stemmer holds the word that it works on.
    with _stemmer_lock:
        return str(_stemmer().stemWord(word)).strip()
