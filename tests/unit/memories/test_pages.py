"""The files of activation memory: what is written is read, also by the library whose format it is; anything else is refused."""

from __future__ import annotations

import importlib
import json
import pickle
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loci.errors import Corrupt, TooLarge
from loci.memories.pages import LONGEST_HEADER, MOST_TENSORS, SIZES, dump, load
from loci.ports.engine import Tensor

PAGE = {"L0.k": Tensor("F32", (2, 3), bytes(range(24))), "L0.v": Tensor("U8", (5,), b"abcde"), "L1.k": Tensor("BF16", (0, 4), b"")}


def parts(data: bytes) -> tuple[dict[str, object], bytes]:
    size = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def joined(header: object, body: bytes) -> bytes:
    told = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(told).to_bytes(8, "little") + told + body


def changed(**fields: object) -> bytes:
    """The page with other things said of one tensor."""
    header, body = parts(dump(PAGE))
    header["L0.k"] = {**header["L0.k"], **fields}  # type: ignore[dict-item]
    return joined(header, body)


@st.composite
def tensors(draw: st.DrawFn) -> Tensor:
    dtype, shape = draw(st.sampled_from(sorted(SIZES))), tuple(draw(st.lists(st.integers(0, 4), max_size=3)))
    count = SIZES[dtype]
    for size in shape:
        count *= size
    return Tensor(dtype, shape, draw(st.binary(min_size=count, max_size=count)))


@given(st.dictionaries(st.text(min_size=1, max_size=12), tensors(), max_size=6))
def test_what_is_written_is_read(page: dict[str, Tensor]) -> None:
    found = load(memoryview(dump(page)))
    assert {n: (t.dtype, t.shape, bytes(t.data)) for n, t in found.items()} == {
        n: (t.dtype, t.shape, bytes(t.data)) for n, t in page.items()
    }


def test_the_library_of_the_format_reads_it_and_is_read() -> None:
    safetensors = pytest.importorskip("safetensors")
    told = dict(safetensors.deserialize(dump(PAGE)))
    assert {n: (t["dtype"], tuple(t["shape"]), bytes(t["data"])) for n, t in told.items()} == {
        n: (t.dtype, t.shape, bytes(t.data)) for n, t in PAGE.items()
    }
    theirs = importlib.import_module("safetensors.numpy").save({"a": np.zeros(2, dtype=np.float32)})
    assert load(memoryview(theirs))["a"].shape == (2,)


BAD: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "a pickle": lambda: pickle.dumps({"L0.k": [1.0, 2.0]}),
    "a pickle that runs something": lambda: b"cos\nsystem\n(S'touch /tmp/loci-was-here'\ntR.",
    "zeros": lambda: bytes(64),
    "cut off": lambda: dump(PAGE)[:-1],
    "cut off in the header": lambda: dump(PAGE)[:20],
    "added to": lambda: dump(PAGE) + b"x",
    "a header longer than the file": lambda: (1 << 40).to_bytes(8, "little") + b"{}",
    "a header longer than any": lambda: joined(b"{" + b" " * LONGEST_HEADER + b"}", b""),
    "a header that is no JSON": lambda: joined(b"{'a': 1}", b""),
    "a header of brackets": lambda: joined(b"[" * 100_000, b""),
    "a header that is a list": lambda: joined([], b""),
    "a name twice": lambda: joined(
        b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"x"
    ),
    "too many tensors": lambda: joined(
        {str(i): {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for i in range(MOST_TENSORS + 1)}, b""
    ),
    "a type that is none": lambda: changed(dtype="PICKLE"),
    "a type of another size": lambda: changed(dtype="F16"),
    "a shape that is larger": lambda: changed(shape=[2, 4]),
    "a shape that is negative": lambda: changed(shape=[-2, -3]),
    "a shape of half numbers": lambda: changed(shape=[2.0, 3]),
    "a shape of truth": lambda: changed(shape=[True, 24]),
    "a shape beyond memory": lambda: changed(shape=[1 << 47, 1 << 47]),
    "a shape of many sizes": lambda: changed(shape=[1] * 9),
    "a shape that is text": lambda: changed(shape="23"),
    "bytes outside the file": lambda: changed(data_offsets=[0, 1 << 40]),
    "bytes that end before they begin": lambda: changed(data_offsets=[24, 0]),
    "bytes that are others'": lambda: changed(data_offsets=[4, 28]),
    "one end only": lambda: changed(data_offsets=[0]),
    "a field more": lambda: changed(code="import os"),
    "metadata that somebody else wrote": lambda: joined({"__metadata__": {"run": "x"}}, b""),
    "a tensor that is a number": lambda: joined({"a": 5}, b""),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_page_is_refused(name: str) -> None:
    with pytest.raises(Corrupt):
        load(memoryview(BAD[name]()))


@given(st.data())
def test_no_bytes_raise_anything_else(data: st.DataObject) -> None:
    whole = bytearray(dump(PAGE))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = load(memoryview(whole))
    except Corrupt:
        return
    assert sum(len(t.data) for t in found.values()) == 29


def test_more_than_is_read_is_not_written() -> None:
    one = Tensor("U8", (0,), b"")
    for many in ({str(n): one for n in range(MOST_TENSORS + 1)}, {"n" * LONGEST_HEADER: one}):
        with pytest.raises(TooLarge):
            dump(many)
