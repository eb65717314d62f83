"""The HDF5 feature cache: create, append, resume, verify, read. It imports no other stage."""

from fer_features.cache.cache import Cache, check_same, verify
from fer_features.cache.folder import (
    GRAPHS,
    describe_files,
    free_bytes,
    journal_path,
    last_selection,
    latest_cache,
    list_caches,
    remember,
    remove_cache,
)
from fer_features.cache.journal import Journal
from fer_features.cache.lock import only_writer, writer_of
from fer_features.cache.record import Header, Rows, RowSelection
from fer_features.cache.spec import FeatureSpec, cache_key
from fer_features.cache.writer import CacheWriter, open_writer

__all__ = ["GRAPHS", "Cache", "CacheWriter", "FeatureSpec", "Header", "Journal", "RowSelection"]
__all__ += ["Rows", "cache_key", "check_same", "describe_files", "free_bytes", "journal_path"]
__all__ += ["last_selection", "latest_cache", "list_caches", "only_writer", "open_writer"]
__all__ += ["remember", "remove_cache", "verify", "writer_of"]
