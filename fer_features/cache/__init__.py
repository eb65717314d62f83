"""The cache: the only thing between the two stages. It knows no network and no head."""

from fer_features.cache.cache import COMPRESSIONS, FORMAT_VERSION, Cache, check_same, filters
from fer_features.cache.compact import fold
from fer_features.cache.folder import (
    GRAPHS,
    describe_files,
    free_bytes,
    journal_of,
    last_selection,
    latest_cache,
    list_caches,
    remember,
    remove_cache,
)
from fer_features.cache.journal import Journal, JournalHeader, JournalWriter
from fer_features.cache.lock import only_writer, writer_of
from fer_features.cache.record import (
    IMAGE,
    OF_NO_NETWORK,
    SEEN,
    SUFFIX,
    Header,
    OutputSpecs,
    Rows,
    RowSelection,
    row_bytes,
)
from fer_features.cache.verify import verify

__all__ = [
    "COMPRESSIONS",
    "FORMAT_VERSION",
    "GRAPHS",
    "IMAGE",
    "OF_NO_NETWORK",
    "SEEN",
    "SUFFIX",
    "Cache",
    "Header",
    "Journal",
    "JournalHeader",
    "JournalWriter",
    "OutputSpecs",
    "RowSelection",
    "Rows",
    "check_same",
    "describe_files",
    "filters",
    "fold",
    "free_bytes",
    "journal_of",
    "last_selection",
    "latest_cache",
    "list_caches",
    "only_writer",
    "remember",
    "remove_cache",
    "row_bytes",
    "verify",
    "writer_of",
]
