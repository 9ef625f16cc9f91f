"""The command `sweep`: all users at once, for people who do not want to wait for the updaters."""

import signal

import typer
from tqdm import tqdm

from mindstream import settings
from mindstream.counted import counted
from model_export.bundle.extractor import Extractor
from model_export.bundle.homes.open_registry import open_registry
from model_export.bundle.serving import Serving
from stream.commands.endings import end_with
from stream.store.open_store import open_store
from stream.store.state import UserState
from stream.updater.sweep import Sweep

__all__ = ["app"]

app = typer.Typer()


@app.command()
def sweep() -> None:
    """Compute now, from the histories, all capsules that are of another model.

    Updaters do that by themselves, between events, and publish interest
    updates of it; this does not publish. It may be stopped and started again.
    """
    registry = open_registry(settings.load().published, settings.load().cache)
    serving = Serving(registry, Extractor)
    if serving.trouble:
        raise ValueError(f"there is nothing to sweep to: {serving.trouble}")
    extractor = serving.current
    version = extractor.bundle.version

    def still_current(_: list[UserState]) -> None:
        """Raise ValueError if another model is current by now.

        Called after reading and before writing: what an updater has made by a newer model is not undone.
        """
        if registry.current_version() != version:
            raise ValueError(f"{version} is not the current model any more; sweep again for the one that is")

    with open_store(settings.load()) as store:
        walk = Sweep(store, extractor)
        try:
            with tqdm(desc=f"sweeping to {version}", unit=" users") as bar:
                while walk.step(still_current):
                    bar.update(walk.looked_at - bar.n)
                    bar.set_postfix(swept=walk.swept)
        except KeyboardInterrupt:
            print(f"stopped: {_outcome(walk)}")
            raise typer.Exit(128 + signal.SIGINT) from None
    print(f"done: {_outcome(walk)}")
    end_with(walk.unreadable)


def _outcome(walk: Sweep) -> str:
    """Say what a walk has done."""
    return f"{counted(walk.looked_at, 'user')} looked at, the capsules of {walk.swept:,} made anew" + (
        f", {walk.overtaken:,} written by others meanwhile" if walk.overtaken else ""
    )
