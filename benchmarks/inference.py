"""Speed of the network: ONNX Runtime in float32 and in int8 beside PyTorch, on positions of random games.

The positions come with all their legal moves. Without --model the weights are random.

With --json the last line is one JSON object. `cpu_share` tells how much of the asked-for cores the measurement got.

    python benchmarks/inference.py --variant square8_2p --batch 1 --batch 64 --json
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ringrift_loop.engine.kernels import apply_move, legal_moves, make_work, new_states
from ringrift_loop.engine.rules import VARIANTS, Rules, rules_for
from ringrift_loop.network.encoding import encode_states, plane_shape
from ringrift_loop.network.export import Graph, architecture_for, export_onnx, load_network, save_model
from ringrift_loop.network.inference import Evaluator, open_evaluator
from ringrift_loop.network.model import RingRiftNet
from ringrift_loop.network.move_features import MOVE_COLUMNS, encode_moves
from ringrift_loop.network.quantize import Change, change_between, quantized


@dataclass(frozen=True)
class Speed:
    """One backend with one batch size."""

    backend: str
    precision: str
    batch: int
    moves_per_position: float
    positions_per_s: float
    ms_per_batch: float
    cpu_share: float
    """CPU seconds a second and thread: below 1 other processes had the cores for the rest."""
    positions_per_cpu_s: float
    """Positions a second of one core's time, whatever else ran."""


@dataclass(frozen=True)
class Batch:
    """Encoded positions."""

    planes: NDArray[np.float32]
    move_row: NDArray[np.int64]
    move_features: NDArray[np.int32]


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--variant", default="square8_2p", choices=list(VARIANTS), help="default square8_2p")
    parser.add_argument("--model", type=Path, help="a model's folder, of any variant on such boards")
    parser.add_argument("--blocks", type=int, default=2, help="residual blocks (default 2)")
    parser.add_argument("--channels", type=int, default=32, help="channels (default 32)")
    parser.add_argument(
        "--batch", type=int, action="append", help="positions a batch, may be repeated (default 1 16 64)"
    )
    parser.add_argument("--threads", type=int, default=1, help="threads of one evaluation (default 1)")
    parser.add_argument("--seconds", type=float, default=2.0, help="seconds for each measurement (default 2)")
    parser.add_argument("--json", action="store_true", help="print one JSON line last")
    args = parser.parse_args()

    rules = rules_for(args.variant)
    states = random_states(rules, 512)
    encoding_us = encode_time_us(rules, states)
    speeds = []
    with tempfile.TemporaryDirectory() as folder:
        net = network(args.variant, args.blocks, args.channels) if args.model is None else load_network(args.model)[0]
        models = {
            precision: save(net, Path(folder) / precision, args.variant, encode(rules, states[-128:]), precision)
            for precision in ("float32", "int8")
        }
        for backend, precision in (("onnxruntime", "float32"), ("onnxruntime", "int8"), ("torch", "float32")):
            evaluator = open_evaluator(models[precision], backend=backend, threads=args.threads)
            for size in args.batch or (1, 16, 64):
                speed = measure(evaluator, encode(rules, states[:size]), args.seconds, args.threads, precision)
                speeds.append(speed)
                print(
                    f"{backend:11} {precision:7} batch {size:4}: {speed.positions_per_s:9.0f} positions/s, "
                    f"{speed.ms_per_batch:8.2f} ms a batch, {speed.positions_per_cpu_s:.0f} a CPU second"
                )
        change = difference(models, encode(rules, states[:128]))
    print(f"int8 beside float32: {change}")
    print(f"encoding: {encoding_us:.1f} us a position with its moves")
    if args.json:
        document: dict[str, Any] = {
            "benchmark": "inference",
            "variant": args.variant,
            "architecture": net.architecture.name,
            "int8_change": asdict(change),
            "threads": args.threads,
            "encoding_us": encoding_us,
            "speeds": [asdict(speed) for speed in speeds],
        }
        print(json.dumps(document))


def network(variant: str, blocks: int, channels: int) -> RingRiftNet:
    """A network with random weights, none of them zero: int8 would be exact where they are."""
    net = RingRiftNet(architecture_for(variant, blocks=blocks, channels=channels))
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return net


def save(net: RingRiftNet, folder: Path, variant: str, calibration: Batch, precision: str) -> Path:
    """Save a network, in int8 with the ranges of the given positions, and return its folder."""
    plain = export_onnx(net)
    graph = Graph(quantized(plain, [vars(calibration)]), "int8") if precision == "int8" else Graph(plain)
    manifest = save_model(net, lambda digest: folder / digest, variant=variant, created_at=0.0, graph=graph)
    return folder / manifest.digest


def difference(models: dict[str, Path], batch: Batch) -> Change:
    """How far int8 lies from float32."""
    inputs = (batch.planes, batch.move_row, batch.move_features)
    kept, moved = (
        open_evaluator(models[name], backend="onnxruntime").evaluate(*inputs) for name in ("float32", "int8")
    )
    return change_between(kept, moved, batch.move_row)


def measure(evaluator: Evaluator, batch: Batch, seconds: float, threads: int, precision: str) -> Speed:
    """Evaluate the batch again and again for that long."""
    for _ in range(3):
        evaluator.evaluate(batch.planes, batch.move_row, batch.move_features)
    rounds = 0
    began, cpu = time.perf_counter(), time.process_time()
    while (passed := time.perf_counter() - began) < seconds:
        evaluator.evaluate(batch.planes, batch.move_row, batch.move_features)
        rounds += 1
    busy = time.process_time() - cpu
    size = len(batch.planes)
    return Speed(
        backend=evaluator.backend,
        precision=precision,
        batch=size,
        moves_per_position=len(batch.move_row) / size,
        positions_per_s=rounds * size / passed,
        ms_per_batch=1000 * passed / rounds,
        cpu_share=busy / passed / threads,
        positions_per_cpu_s=rounds * size / busy,
    )


def encode(rules: Rules, states: NDArray[np.int16]) -> Batch:
    """Planes and moves of the states."""
    work: Any = make_work(rules)
    scratch = np.empty(rules.max_moves, np.int64)
    planes = np.empty((len(states), *plane_shape(rules)), np.float32)
    encode_states(rules, states, planes)
    features = []
    for state in states:
        count = int(legal_moves(rules, state, work, scratch))
        rows = np.empty((count, MOVE_COLUMNS), np.int32)
        encode_moves(rules.core, state, rules.board.grid, scratch, count, rows)
        features.append(rows)
    move_row = np.repeat(np.arange(len(states)), [len(rows) for rows in features])
    return Batch(planes, move_row, np.concatenate(features))


def encode_time_us(rules: Rules, states: NDArray[np.int16]) -> float:
    """CPU time to encode one position with its legal moves, microseconds."""
    encode(rules, states)
    began = time.process_time()
    for _ in range(5):
        encode(rules, states)
    return (time.process_time() - began) / (5 * len(states)) * 1e6


def random_states(rules: Rules, count: int) -> NDArray[np.int16]:
    """States with a choice from uniformly random games."""
    work: Any = make_work(rules)
    scratch = np.empty(rules.max_moves, np.int64)
    rng = np.random.default_rng(1)
    states: list[NDArray[np.int16]] = []
    while len(states) < 4 * count:
        state = new_states(rules, 1)[0]
        while (number := int(legal_moves(rules, state, work, scratch))) > 0:
            if number > 1:
                states.append(state.copy())
            apply_move(rules, state, work, int(scratch[rng.integers(number)]))
    chosen = rng.permutation(len(states))[:count]
    return np.array([states[index] for index in chosen])


if __name__ == "__main__":
    main()
