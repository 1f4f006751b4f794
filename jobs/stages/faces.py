"""Render the mini training set in blocks of identities, and join them."""

from __future__ import annotations

from jobs.run.attempt import Context
from jobs.store.stage import Stage

_SOURCES = ("sigmaflow/datasets", "sigmaflow/fields/raycast.py")
RENDER = Stage(name="render", version=2, run="jobs.stages.faces:run_render", sources=_SOURCES)
FACES = Stage(
    name="faces", version=1, run="jobs.stages.faces:run_join", sources=_SOURCES, torch=False
)


def run_render(ctx: Context) -> None:
    """Views of a block of identities: `faces.zip`."""
    from sigmaflow.datasets.faces import render_faces

    c = ctx.config
    render_faces(
        range(*c["seeds"]),
        c["views"],
        ctx.folder / "faces.zip",
        c["resolution"],
        progress=ctx.progress,
        around=c["around"],
    )


def run_join(ctx: Context) -> None:
    """All blocks as one `faces.zip`."""
    from sigmaflow.datasets.faces import merge_zips

    merge_zips([p / "faces.zip" for p in ctx.input("parts")], ctx.folder / "faces.zip")
