"""timm's Inception-ResNet-v2 as the peer that `fer bench speed --peer timm` measures against.

A script for any Python with torch and timm in it (``--peer-python``): it imports nothing of this
package, and speaks the few lines of `benchmarks.protocol` by itself. The network runs as
PyTorch runs it best: compiled and frozen (batch normalisation folded, weights packed; half as fast
again on a CPU with AMX), channels last, in inference mode, in the batch size that is fastest, and
on a GPU with two batches in flight. What is timed is what the engines do: from uint8 48×48 on the
host to the last map and its mean on the host, resizing and normalisation on the device.
"""

from __future__ import annotations

import io
import json
import math
import os
import threading
import time
from collections import deque
from queue import SimpleQueue
from typing import Any

ROUND_S = 3.0  # as in contenders.py
TRIAL_S = 1.0  # how long a batch size is tried, at least
CPU_BATCHES, GPU_BATCHES = (8, 16, 32, 64), (64, 128, 256, 512)
DEPTH = 2
CHAIN, MATMUL_S = 8, 1.0  # as in matmul.py


class LeftOut(Exception):  # noqa: N818 - nothing is wrong: it is an answer
    """The precision is not available on this machine; the text is the reason."""


def has_bfloat16(torch: Any) -> bool:
    """Whether the device multiplies bfloat16 itself; elsewhere PyTorch emulates it, slowly."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:  # noqa: PTH123
            flags = next((line for line in file if line.startswith("flags")), "").split()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def make_graph(size: int, device: Any, precision: str) -> Any:
    """The whole path, uint8 (N, 48, 48) to the mean (float32) and the map (float16), compiled."""
    import timm
    import torch
    from torch import _inductor

    torch._dynamo.reset()  # of another batch size, which would make the compiler generalise
    dtype = getattr(torch, precision)
    from torch.nn.functional import interpolate

    _inductor.config.freezing = True
    network = timm.create_model("inception_resnet_v2", pretrained=False, num_classes=0)
    network = network.eval().to(device, dtype, memory_format=torch.channels_last)

    def whole(images: Any) -> Any:
        x = images.to(torch.float32).unsqueeze(1)
        x = interpolate(x, (size, size), mode="bilinear", align_corners=False)
        x = (x / 127.5 - 1.0).to(dtype).repeat(1, 3, 1, 1)
        maps = network.forward_features(x.contiguous(memory_format=torch.channels_last))
        return maps.float().mean((2, 3)), maps.half()

    return torch.compile(whole, dynamic=False)


class Network:
    """The peer's network, fed from memory.

    Args:
        job: ``size``, ``precision``, and ``batch_size`` (None: the fastest of several) and
            ``images`` (None: what takes about three seconds).

    Raises:
        LeftOut: the device would only emulate the precision.
    """

    def __init__(self, job: dict[str, Any]) -> None:
        import torch

        self._torch = torch
        self._gpu = torch.cuda.is_available()
        self._device = torch.device("cuda" if self._gpu else "cpu")
        self._size, self._precision = job["size"], job["precision"]
        if self._precision == "bfloat16" and not has_bfloat16(torch):
            raise LeftOut("PyTorch would only emulate it on this machine")
        self._tried: dict[str, float] = {}
        if job["batch_size"] is None:
            for n in GPU_BATCHES if self._gpu else CPU_BATCHES:
                self._tried[str(n)] = self._compile(n)
            best = int(max(self._tried, key=lambda n: self._tried[n]))
        else:
            best = job["batch_size"]
        rate = self._compile(best)
        self._batches = math.ceil((job["images"] or rate * ROUND_S) / best)
        self._draw(self._batches)

    def _compile(self, batch_size: int) -> float:
        """Make the graph for a batch size; its images a second."""
        self._batch_size = batch_size
        self._whole = make_graph(self._size, self._device, self._precision)
        self._draw(2 * DEPTH)
        self._pass(DEPTH)  # the compiler's
        passes, seconds = 0, 0.0
        while seconds < TRIAL_S:
            seconds += self._pass(2 * DEPTH)
            passes += 1
        return passes * 2 * DEPTH * batch_size / seconds

    def _draw(self, batches: int) -> None:
        """Images of so many batches, each another one."""
        draw = self._torch.Generator().manual_seed(0)
        shape = (batches, self._batch_size, 48, 48)
        images = self._torch.randint(0, 256, shape, dtype=self._torch.uint8, generator=draw)
        self._images = images.pin_memory() if self._gpu else images

    def _pass(self, batches: int) -> float:
        under_way: deque[Any] = deque()
        begun = time.perf_counter()
        with self._torch.inference_mode():
            for place in range(batches):
                under_way.append(self._submit(self._images[place]))
                if len(under_way) > DEPTH:
                    self._wait(under_way.popleft())
            while under_way:
                self._wait(under_way.popleft())
        return time.perf_counter() - begun

    def _submit(self, batch: Any) -> tuple[Any, Any]:
        found = self._whole(batch.to(self._device, non_blocking=True))
        if not self._gpu:
            return found, None
        on_host = [self._torch.empty_like(x, device="cpu", pin_memory=True) for x in found]
        for there, here in zip(found, on_host, strict=True):
            here.copy_(there, non_blocking=True)
        event = self._torch.cuda.Event()
        event.record()
        return on_host, event

    def _wait(self, running: tuple[Any, Any]) -> None:
        on_host, event = running
        if event is not None:
            event.synchronize()
        for one in on_host:
            one.numpy()

    def describe(self) -> dict[str, Any]:
        """What it is, and what it runs on."""
        import timm

        kind = "GPU" if self._gpu else "CPU"
        return {
            "device": kind,
            "device_name": self._torch.cuda.get_device_name(0) if self._gpu else "",
            "engine": f"timm {timm.__version__} on {kind}, torch {self._torch.__version__}",
            "precision": self._precision,
            "batch_size": self._batch_size,
            "tried": self._tried,
        }

    def run(self) -> dict[str, Any]:
        """One pass over the images."""
        seconds = self._pass(self._batches)
        return {"images": self._batches * self._batch_size, "seconds": seconds}


class Products:
    """The matrix products of `benchmarks.matmul`, by torch."""

    def __init__(self) -> None:
        import torch

        self._torch = torch
        self._gpu = torch.cuda.is_available()
        self._side = 8192 if self._gpu else 2048
        draw = torch.Generator().manual_seed(0)
        x, b = (torch.randn(self._side, self._side, generator=draw) for _ in range(2))
        device = "cuda" if self._gpu else "cpu"
        precisions = ("float32", "bfloat16") if has_bfloat16(torch) else ("float32",)
        self._pairs = {
            name: tuple(one.to(device, getattr(torch, name)) for one in (x, b / self._side**0.5))
            for name in precisions
        }
        for pair in self._pairs.values():
            self._chain(*pair)

    def _chain(self, x: Any, b: Any) -> float:
        with self._torch.inference_mode():
            for _ in range(CHAIN):
                x = x @ b
            return float(x.max())

    def describe(self) -> dict[str, Any]:
        """What it is, and what it runs on."""
        return {
            "device": "GPU" if self._gpu else "CPU",
            "device_name": self._torch.cuda.get_device_name(0) if self._gpu else "",
            "library": f"torch {self._torch.__version__}",
            "side": self._side,
        }

    def run(self) -> dict[str, Any]:
        """GFLOP/s by precision."""
        return {"gflops": {name: self._rate(*pair) for name, pair in self._pairs.items()}}

    def _rate(self, x: Any, b: Any) -> float:
        chains, begun = 0, time.perf_counter()
        while (seconds := time.perf_counter() - begun) < MATMUL_S:
            self._chain(x, b)
            chains += 1
        return float(chains * CHAIN * 2 * self._side**3 / seconds / 1e9)


def main() -> None:
    """Serve the parent, as `benchmarks.protocol.serve` does."""
    private = os.dup(1)
    os.dup2(2, 1)
    heard: SimpleQueue[dict[str, Any]] = SimpleQueue()

    def answer(message: dict[str, Any]) -> None:
        os.write(private, (json.dumps(message) + "\n").encode())

    def listen() -> None:
        for line in io.FileIO(0, closefd=False):
            heard.put(json.loads(line))
        os._exit(1)  # the parent is gone

    threading.Thread(target=listen, daemon=True).start()
    job = heard.get()
    try:
        contender = Products() if job["kind"] == "matmul" else Network(job)
    except LeftOut as reason:
        answer({"left_out": str(reason)})
        return
    answer({"ready": contender.describe()})
    rested = time.process_time()
    while heard.get()["do"] != "end":
        idle = time.process_time() - rested
        answer({**contender.run(), "idle_cpu_s": idle})
        rested = time.process_time()


if __name__ == "__main__":
    main()
