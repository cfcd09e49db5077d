"""A chart of what a turn costs as a conversation grows."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.report import Run


def draw(runs: Sequence[Run], path: Path) -> None:
    """Draw one panel per run: milliseconds over messages in the session, both logarithmic."""
    import matplotlib as mpl  # noqa: PLC0415 - only who draws needs it

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, panels = plt.subplots(1, len(runs), figsize=(6.5 * len(runs), 4.5), sharey=True)
    for panel, run in zip([panels] if len(runs) == 1 else panels, runs, strict=True):
        lengths = sorted(run.turns)
        for name in run.turns[lengths[0]]:
            heavy = name == "zepstore"
            panel.plot(
                lengths,
                [run.turns[length][name] for length in lengths],
                marker="o",
                linewidth=2.5 if heavy else 1.3,
                linestyle="--" if name == "floor" else "-",
                zorder=3 if heavy else 2,
                label=name,
            )
        panel.set(xscale="log", yscale="log", title=run.title, xlabel="messages in the session")
        panel.grid(visible=True, alpha=0.3)
    (panels if len(runs) == 1 else panels[0]).set_ylabel("ms for a turn: read 20, save 2")
    (panels if len(runs) == 1 else panels[0]).legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)
