"""Stages small enough to be killed hundreds of times."""

import json
import os
import signal
import time

from jobs.store.spec import register
from jobs.store.stage import Stage, Task


def count(ctx):
    """Sums of a seeded sequence, with a checkpoint every few steps."""
    total, start = ctx.config.get("seed", 0), 0
    if (saved := ctx.restore()) is not None:
        last, path = saved
        start, total = last + 1, json.loads(path.read_text())
    for step in range(start, ctx.config["steps"]):
        total = (total * 31 + step) % 1000003
        ctx.log(step, total=total)
        if (step + 1) % ctx.config.get("every", 3) == 0:
            ctx.save(step, json.dumps(total).encode())
        ctx.progress(step, ctx.config["steps"])
        time.sleep(ctx.config.get("pause", 0))
    (ctx.folder / "deep").mkdir(exist_ok=True)
    (ctx.folder / "deep" / "total.json").write_text(json.dumps(total))
    _count_run(ctx)


def join(ctx):
    """The text of all inputs, and of its config."""
    parts = [(p / "deep" / "total.json").read_text() for p in ctx.input("parts")]
    (ctx.folder / "joined.txt").write_text(ctx.config.get("word", "") + " ".join(parts))
    _count_run(ctx)


def fail(ctx):
    (ctx.folder / "half.txt").write_text("half")
    if not os.path.exists(ctx.config["mended"]):
        raise ValueError("not mended yet")


def die(ctx):
    os._exit(9)


def hurt(ctx):
    """Fails its first ``times`` attempts in a way of its own, each after having saved a step."""
    with open(ctx.config["log"], "a") as file:
        file.write("attempt\n")
    attempt = len(open(ctx.config["log"]).readlines())
    saved = ctx.restore()
    if attempt <= ctx.config["times"]:
        ctx.log(attempt)
        ctx.save(attempt, b"state")
        _fail(ctx.config["how"])
    (ctx.folder / "resumed.txt").write_text(str(saved[0] if saved else 0))


def _fail(how):
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "gpu_memory":
        import torch

        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    kind = {"host_memory": MemoryError, "not_finite": FloatingPointError}.get(how, ValueError)
    raise kind(how)


def draw(ctx):
    """What a stage finds of torch's global state, and its first draws."""
    import torch

    state = [
        torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled(),
        torch.get_num_threads(), torch.get_deterministic_debug_mode(),
        torch.get_float32_matmul_precision(), torch.backends.mkldnn.enabled,
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic,
        torch.backends.cudnn.allow_tf32, torch.is_autocast_enabled("cpu"),
        torch.tensor([1e-42]).mul(1.0).item() > 0, os.environ.get("OMP_NUM_THREADS"),
    ]  # fmt: skip
    (ctx.folder / "state.txt").write_text(" ".join(map(str, state)))
    (ctx.folder / "drawn.txt").write_text(str(torch.randn(4).tolist()))


def spoil(ctx):
    """Leaves everything of torch's global state other than it was."""
    import torch

    torch.manual_seed(ctx.config["n"])
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    torch.set_grad_enabled(False)
    torch.use_deterministic_algorithms(True)
    torch.set_float32_matmul_precision("medium")
    torch.backends.mkldnn.enabled = False
    torch.backends.cudnn.benchmark = torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False
    torch.set_autocast_enabled("cpu", True)
    torch.set_flush_denormal(True)
    (ctx.folder / "out.txt").write_text("x")


def _count_run(ctx):
    if path := ctx.config.get("runs"):  # one line a run, outside the store
        with open(path, "a") as file:
            file.write(f"{ctx.config.get('seed', 'join')}\n")


COUNT = Stage("count", 1, "toys:count", torch=False)
JOIN = Stage("join", 1, "toys:join", torch=False, actor=True)
FAIL = Stage("fail", 1, "toys:fail", torch=False)
HURT = Stage("hurt", 1, "toys:hurt", torch=False)
DIE = Stage("die", 1, "toys:die", torch=False)
DRAW = Stage("draw", 1, "toys:draw", actor=True)
SPOIL = Stage("spoil", 1, "toys:spoil", actor=True)
register(COUNT, JOIN, FAIL, HURT, DIE, DRAW, SPOIL)


def counting(**config):
    return Task(COUNT, {"threads": 1, "steps": 8, **config})


def hurting(log, how, times=1):
    """Fails so often in one way; `log` counts the attempts."""
    return Task(HURT, {"threads": 1, "log": str(log), "how": how, "times": times})


def graph(runs="", word="", seeds=(1, 2, 3), **config):
    """Three counts and their join."""
    parts = [counting(seed=seed, runs=str(runs), **config) for seed in seeds]
    return Task(JOIN, {"threads": 1, "word": word, "runs": str(runs)}, {"parts": parts})
