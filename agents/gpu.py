"""What miners use of NVIDIA GPUs, where there are any (extra `gpu`).

Sampled utilisation, not a counter: the driver averages each process's streaming-multiprocessor (SM) use
over its own sampling window (a sixth of a second to a second) and keeps the last few minutes of samples.
What falls between samples is not seen, so a GPU share is never a law, and the `ssa` detector judges it with
a stated false rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any

PPM_PER_PERCENT = 10_000
# Miner -> its processes; miner -> millionths of one GPU, averaged since the last call, summed over the GPUs.
GpuReader = Callable[[Mapping[str, Iterable[int]]], dict[str, int]]


def gpu_reader() -> GpuReader | None:
    """A reader of GPU shares, or None where there is no NVIDIA GPU, no driver or no pynvml package.

    The reader raises nothing: a GPU that does not answer counts as 0. It is for one thread, and keeps the
    driver library open for the life of the process.
    """
    try:
        import pynvml  # noqa: PLC0415 - optional extra

        pynvml.nvmlInit()
        gpus = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
    except Exception:  # a missing package, library, driver or GPU: each has an error of its own
        return None
    if not gpus:
        return None
    seen = [0] * len(gpus)  # the driver's time of the newest sample read, in microseconds, for each GPU

    def read(processes: Mapping[str, Iterable[int]]) -> dict[str, int]:
        owner = {pid: miner for miner, pids in processes.items() for pid in pids}
        shares = dict.fromkeys(processes, 0)
        for number, gpu in enumerate(gpus):
            samples = _samples(pynvml, gpu, seen[number])
            seen[number] = max([seen[number], *(sample.timeStamp for sample in samples)])
            for miner, ppm in mean_by_miner(((s.pid, s.smUtil) for s in samples), owner).items():
                shares[miner] += ppm
        return shares

    return read


def mean_by_miner(samples: Iterable[tuple[int, int]], owner: Mapping[int, str]) -> dict[str, int]:
    """Mean share in ppm of each miner, from (process, percent) samples of one GPU.

    A process's samples are averaged, a miner's processes summed; other processes are passed over.

    >>> mean_by_miner([(1, 10), (1, 30), (2, 5), (9, 99)], {1: "a", 2: "a"})
    {'a': 250000}
    """
    by_process: dict[int, list[int]] = {}
    for pid, percent in samples:
        if pid in owner:
            by_process.setdefault(pid, []).append(percent)
    shares: dict[str, int] = {}
    for pid, percents in by_process.items():
        mean = sum(percents) * PPM_PER_PERCENT // len(percents)
        shares[owner[pid]] = shares.get(owner[pid], 0) + mean
    return shares


def _samples(pynvml: ModuleType, gpu: object, since_us: int) -> list[Any]:
    try:
        return list(pynvml.nvmlDeviceGetProcessUtilization(gpu, since_us))
    except pynvml.NVMLError:  # also "not found": no process has used it since
        return []
