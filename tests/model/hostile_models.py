"""Files that look like models and are not: damaged, inconsistent, or made to run code."""

from __future__ import annotations

import copy
import io
import json
import pickle
import stat
import struct
import warnings
import zipfile
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Entries = dict[str, bytes]
Cases = Iterator[tuple[str, bytes]]


class Canary:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def entries_of(content: bytes) -> Entries:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zip_of(entries: Entries, **options: Any) -> bytes:
    """A zip file, deflated unless told otherwise."""
    buffer = io.BytesIO()
    options = {"compression": zipfile.ZIP_DEFLATED} | options
    with zipfile.ZipFile(buffer, "w", **options) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def model_of(entries: Entries, record: dict[str, Any] | None = None) -> bytes:
    """A model's file whose hashes and sizes are right, whatever is in it."""
    record = copy.deepcopy(record or json.loads(entries["model.json"]))
    rest = {name: content for name, content in entries.items() if name != "model.json"}
    record["files"] = {
        name: {"size": len(content), "sha256": sha256(content).hexdigest()}
        for name, content in rest.items()
    }
    return zip_of({"model.json": json.dumps(record).encode()} | rest)


def changed(good: bytes, change: Callable[[dict[str, Any]], Any]) -> bytes:
    """A model's file with another record."""
    entries = entries_of(good)
    record = json.loads(entries["model.json"])
    change(record)
    return model_of(entries, record)


def damaged(good: bytes) -> Cases:
    """Bytes flipped within each entry's content, and all kinds of ends missing."""
    with zipfile.ZipFile(io.BytesIO(good)) as archive:
        for entry in archive.infolist():
            start = entry.header_offset + 30 + len(entry.filename)
            for step in range(16):
                place = start + step * entry.compress_size // 16
                flipped = bytearray(good)
                flipped[place] ^= 0x55
                yield f"byte {place} of {entry.filename}", bytes(flipped)
    for step in range(20):
        yield f"cut at {step}/20", good[: step * len(good) // 20]
    for lost in (1, 2, 21, 22, 23):
        yield f"{lost} bytes lost", good[:-lost]
    yield "a byte more", good + b"\0"
    yield "something before", b"#!/bin/sh\n" + good
    yield "text", b"this is a model\n" * 1000
    yield "a wrong number of entries", good[:-12] + struct.pack("<H", 60000) + good[-10:]


def odd_zips(good: bytes) -> Cases:
    """Zips whose names, types or sizes are wrong."""
    entries = entries_of(good)
    for name in (
        "../evil",
        "/etc/evil",
        "a/../../evil",
        "C:\\evil",
        "evil",
        "folder/",
        "model.json.bak",
        "card.md/x",
        "a\0b",
        "head.skops ",
        "__init__.py",
        "evil.pkl",
        "weights.h5",
    ):
        yield f"an entry {name!r} more", zip_of(entries | {name: b"x"})
        moved = {name if one == "card.md" else one: text for one, text in entries.items()}
        yield f"an entry {name!r} in place of the card", zip_of(moved)
    for name in entries:
        yield f"no {name}", zip_of({one: text for one, text in entries.items() if one != name})
        yield f"an empty {name}", zip_of(entries | {name: b""})
        yield f"another {name}", zip_of(entries | {name: entries[name] + b"x"})
        twice = io.BytesIO(good)
        with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(twice, "a") as archive:
            archive.writestr(name, entries[name])
        yield f"{name} twice", twice.getvalue()
        bomb = zip_of(entries | {name: bytes(100 << 20)})
        yield f"a bomb in {name}", bomb
        for mode in (stat.S_IFLNK, stat.S_IFDIR, stat.S_IFIFO):
            buffer = io.BytesIO()
            with zipfile.ZipFile(buffer, "w") as archive:
                for one, text in entries.items():
                    entry = zipfile.ZipInfo(one)
                    entry.external_attr = (mode if one == name else stat.S_IFREG) << 16
                    archive.writestr(entry, text)
            yield f"{name} of type {mode:o}", buffer.getvalue()
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        yield f"compressed by method {method}", zip_of(entries, compression=method)
    many = zip_of(entries | {f"entry{k}": b"" for k in range(5000)})
    yield "5,000 entries", many
    commented = io.BytesIO(good)
    with zipfile.ZipFile(commented, "a") as archive:
        archive.comment = b"PK\5\6" * 100
    yield "a comment", commented.getvalue()


def odd_records(good: bytes) -> Cases:
    """Records with wrong values, each with the right hashes."""
    entries = entries_of(good)
    record = json.loads(entries["model.json"])
    for key in record:
        if key == "files":
            continue
        wrong: Any = "x" if isinstance(record[key], (int, float)) else 3.5
        yield (
            f"{key}: {wrong}",
            changed(good, lambda one, key=key, wrong=wrong: one.update({key: wrong})),
        )
        deep: Any = []
        for _ in range(100):
            deep = [deep]
        yield (
            f"{key}: nested",
            changed(good, lambda one, key=key, deep=deep: one.update({key: deep})),
        )
    needed = ("name", "created", "spec", "layers", "output", "head", "task", "data", "test")
    for key in needed:
        yield f"no {key}", changed(good, lambda one, key=key: one.pop(key))
    text = json.dumps(record)
    for value in (
        "NaN",
        "Infinity",
        "-Infinity",
        "1e999",
        "1e30",
        "9" * 5000,
        "true",
        "[" * 100_000,
    ):
        for key in ("threshold", "format_version"):
            odd = text.replace(f'"{key}": {json.dumps(record[key])}', f'"{key}": {value}')
            rest = {name: text for name, text in entries.items() if name != "model.json"}
            yield f"{key}: {value[:20]}", zip_of({"model.json": odd.encode()} | rest)
    yield "a huge record", zip_of(entries | {"model.json": text.encode() + b" " * (8 << 20)})
    yield "a record that is a list", zip_of(entries | {"model.json": b"[1, 2]"})
    yield "a record that is no UTF-8", zip_of(entries | {"model.json": b"\xff\xfe{}"})
    one_class = {"name": "a", "emotions": ["sad"]}
    for name, changes in {
        "one class": {"task": record["task"] | {"classes": [one_class]}},
        "equal classes": {"task": record["task"] | {"classes": [one_class] * 2}},
        "three classes": {
            "task": record["task"] | {"classes": [*record["task"]["classes"], one_class]}
        },
        "another positive": {"task": record["task"] | {"positive": "nobody"}},
        "a threshold above 1": {"threshold": 1.5},
        "a new format": {"format_version": 99},
        "a calibrator of three": {
            "calibrator": {"method": "platt", "coef": [[1.0] * 3] * 3, "intercept": [0.0] * 3}
        },
        "a calibrator of text": {"calibrator": {"method": "platt", "coef": "x", "intercept": []}},
        "an unknown calibrator": {"calibrator": {"method": "pickle", "data": "gASV"}},
        "curves that descend": {
            "calibrator": {"method": "isotonic", "x": [[1.0, 0.0]], "y": [[0.0, 1.0]]}
        },
        "curves of two lengths": {
            "calibrator": {"method": "isotonic", "x": [[0.0, 1.0]], "y": [[0.0]]}
        },
        "no such backbone": {"spec": record["spec"] | {"backbone": "../../evil"}},
        "a huge size": {"spec": record["spec"] | {"size": 10**9}},
        "no such layer": {"layers": ["evil"]},
        "no such head": {"head": "os.system"},
        "another head": {"head": "svm"},
        "a Keras head": {"head": "dense"},
        "a head file elsewhere": {"head_file": "../../head.skops"},
        "the card as head": {"head_file": "card.md"},
        "weights that are not there": {"weights_file": "weights.h5"},
        "a name of control characters": {"name": "\x1b[2Jevil"},
        "a long name": {"name": "x" * 5000},
    }.items():
        yield name, changed(good, lambda one, changes=changes: one.update(changes))
    for name, one in (
        ("size", {"size": 3}),
        ("hash", {"sha256": "0" * 64}),
        ("form", {"sha256": "x"}),
    ):
        odd = copy.deepcopy(record)
        odd["files"]["card.md"] |= one
        yield f"a wrong {name}", zip_of(entries | {"model.json": json.dumps(odd).encode()})
    for content in (b"x" * 1000, b"\x89HDF\r\n\x1a\n" + bytes(1000)):
        yield (
            f"weights {content[:4]!r}",
            model_of(entries | {"weights.h5": content}, record | {"weights_file": "weights.h5"}),
        )


def with_head(good: bytes, head: bytes) -> bytes:
    entries = entries_of(good)
    name = json.loads(entries["model.json"])["head_file"]
    return model_of(entries | {name: head})


def odd_skops(good: bytes, canary: Path) -> Cases:
    """Heads of other types, with arrays that are none, with wrong shapes, and pickles."""
    inner = entries_of(entries_of(good)["head.skops"])
    schema = json.loads(inner["schema.json"])
    arrays = sorted(name for name in inner if name.endswith(".npy"))

    def head(schema: Any, **changes: bytes) -> bytes:
        rest = inner | {"schema.json": json.dumps(schema).encode()} | changes
        return with_head(good, zip_of(rest, compression=zipfile.ZIP_STORED))

    evil = pickle.dumps(Canary(canary))
    yield "a pickle as the head", with_head(good, evil)
    yield "a pickle beside the arrays", with_head(good, zip_of(inner | {"evil.pkl": evil}))
    buffer = io.BytesIO()
    np.save(buffer, np.array([Canary(canary)], object), allow_pickle=True)
    for name in arrays:
        yield f"a pickle in {name}", head(schema, **{name: buffer.getvalue()})
        yield f"a raw pickle in {name}", head(schema, **{name: evil})
        yield f"no {name}", with_head(good, zip_of({k: v for k, v in inner.items() if k != name}))
        for shape in ((10**12,), (10**6, 10**6), (0,), (3, 3, 3)):
            header = io.BytesIO()
            form = {"descr": "<f8", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(header, form)
            content = header.getvalue() + bytes(216)
            if shape in ((0,), (3, 3, 3)) and name not in used(schema):
                continue
            yield f"{name} of shape {shape}", head(schema, **{name: content})
    for module, kind, loader in (
        ("os", "system", "FunctionNode"),
        ("posix", "system", "FunctionNode"),
        ("builtins", "eval", "FunctionNode"),
        ("builtins", "exec", "TypeNode"),
        ("subprocess", "Popen", "ObjectNode"),
        ("pathlib", "PosixPath", "ReduceNode"),
        ("operator", "methodcaller", "OperatorFuncNode"),
        ("builtins", "getattr", "MethodNode"),
        ("functools", "partial", "PartialNode"),
        ("joblib.numpy_pickle", "load", "FunctionNode"),
        ("sklearn.preprocessing._function_transformer", "FunctionTransformer", "ObjectNode"),
        ("sklearn.pipeline", "Pipeline", "ObjectNode"),
        ("numpy", "load", "FunctionNode"),
        ("scipy.sparse", "csr_matrix", "SparseMatrixNode"),
        ("builtins", "bytes", "BytesNode"),
        ("numpy.random.mtrand", "RandomState", "RandomStateNode"),
        ("fer_features.heads.svm", "SupportVectorHead", "ObjectNode"),
        ("x", "y", "CachedNode"),
    ):
        node = {"__module__": module, "__class__": kind, "__loader__": loader, "__id__": 1}
        node |= {"content": {"attr": "x", "func": "x", "args": ["touch", str(canary)]}}
        yield f"a {loader} of {module}.{kind} as the head", head(schema | node)
        odd = copy.deepcopy(schema)
        odd["content"]["content"]["model_"] = node
        yield f"a {loader} of {module}.{kind} as the model", head(odd)
    for protocol in (-1, 0, 99, "x"):
        odd = copy.deepcopy(schema) | {"protocol": protocol}
        del odd["content"]["content"]["scaler_"]
        yield f"protocol {protocol} without a scaler", head(odd)
    yield "a bomb in the schema", head("x" * (40 << 20))
    yield "a bomb beside it", with_head(good, zip_of(inner | {"1.npy": bytes(100 << 20)}))
    nested = zip_of({"x": bytes(100 << 20)})
    yield "a zip in the zip", with_head(good, zip_of(inner | {"1.npy": nested}))
    yield "a bomb as the head", with_head(good, nested)
    yield "a deep schema", head(schema | {"content": json.loads("[" * 900 + "]" * 900)})


def used(schema: Any) -> set[str]:
    """Files of arrays that a prediction needs."""
    content = schema["content"]["content"]
    parts = content["model_"]["content"]["content"]
    return {parts[name]["file"] for name in ("coef_", "intercept_")} | {content["classes_"]["file"]}


def odd_keras(good: bytes, canary: Path) -> Cases:
    """Keras files with code, with weights elsewhere or in no possible number, and bombs."""
    inner = entries_of(entries_of(good)["head.keras"])
    entry = json.loads(inner["head.json"])

    def head(changes: Entries, **options: Any) -> bytes:
        return with_head(good, zip_of(inner | changes, **options))

    def weights(write: Callable[[h5py.File], None]) -> Entries:
        buffer = io.BytesIO()
        with h5py.File(buffer, "w") as file:
            write(file)
        return {"model.weights.h5": buffer.getvalue()}

    def as_entry(**changes: Any) -> Entries:
        return {"head.json": json.dumps(entry | changes).encode()}

    code = f"(lambda x: __import__('pathlib').Path({str(canary)!r}).touch())"
    yield "a pickle as weights", head({"model.weights.h5": pickle.dumps(Canary(canary))})
    yield "a pickle as entry", head({"head.json": pickle.dumps(Canary(canary))})
    yield "an entry more", head({"assets/evil.py": b"import os"})
    yield "code as a parameter", head(as_entry(parameters=entry["parameters"] | {"units": [code]}))
    yield "an unknown parameter", head(as_entry(parameters=entry["parameters"] | {"evil": 1}))
    for units in ([16384] * 4, [10**9], [-1], [0], [2.5], "256", [True], [[1]], {}):
        yield f"units {units}", head(as_entry(parameters=entry["parameters"] | {"units": units}))
    for shape in ([10**6, 10**6, 4], [3, 3], [0, 3, 4], "333", [3, 3, 5], {"a": 1}):
        yield f"maps {shape}", head(as_entry(map_shape=shape))
    for features in (10**12, -1, 0, "4", None, 5):
        yield f"{features} features", head(as_entry(features=features))
    yield "other classes", head(as_entry(classes=[0, 1, 2]))
    yield "objects as classes", head(as_entry(classes_dtype="O", classes=[{"a": 1}, 2]))
    yield "no moments", head(as_entry(moments=[[1.0], [2.0]]))
    yield "an entry of a list", head({"head.json": b"[]"})
    yield "a deep entry", head({"head.json": b"[" * 50_000})
    yield "a bomb of weights", head({"model.weights.h5": bytes(100 << 20)})
    yield "no weights", head(weights(lambda file: None))
    yield (
        "weights elsewhere",
        head(weights(lambda file: file.update({"layers": h5py.ExternalLink("/etc/passwd", "/")}))),
    )
    yield "a soft link", head(weights(lambda file: file.update({"layers": h5py.SoftLink("/")})))

    def external(file: h5py.File) -> None:
        file.create_dataset("x", (10,), "f4", external=[("/etc/hostname", 0, 40)])

    def sparse(file: h5py.File) -> None:
        file.create_dataset("x", (10**6, 10**6), "f4", chunks=(1000, 1000), compression="gzip")

    def objects(file: h5py.File) -> None:
        file.create_dataset("x", (10,), h5py.string_dtype())

    def loop(file: h5py.File) -> None:
        file.create_group("a")["b"] = file["/"]

    for write in (external, sparse, objects, loop):
        yield f"weights: {write.__name__}", head(weights(write))


def odd_ensembles(good: bytes, canary: Path) -> Cases:
    """Ensembles of what are no heads."""
    inner = entries_of(entries_of(good)["head.zip"])
    entry = json.loads(inner["head.json"])
    evil = pickle.dumps(Canary(canary))
    member = next(name for name in inner if name != "head.json")

    def head(changes: Entries, **keys: Any) -> bytes:
        text = json.dumps(entry | keys).encode()
        return with_head(good, zip_of(inner | {"head.json": text} | changes))

    yield "a pickle as a member", head({member: evil})
    yield "a bomb as a member", head({member: bytes(100 << 20)})
    yield "a zip bomb in a member", head({member: zip_of({"1.npy": bytes(100 << 20)})})
    yield (
        "an ensemble as a member",
        head({"ensemble.zip": entries_of(good)["head.zip"]}, files={"ensemble": "ensemble.zip"}),
    )
    yield "a member elsewhere", head({}, files={"logreg": "../../logreg.skops"})
    yield "a member that is no head", head({"os.skops": evil}, files={"os": "os.skops"})
    yield "no members", head({}, files={})
    yield "a member too few", head({"svm.skops": inner[member]})
    yield "members as text", head({}, files="evil")
    yield "a file more", head({"../evil": b"x"})
    yield "unknown parameters", head({}, params={"evil": 1})
    yield "other features", head({}, features=10**15)
    yield "other classes", head({}, classes=["a", "b"])
