"""Figures for the README: python -m benchmarks NAME. A table for people, and one JSON object as the last line."""

from mindstream import console  # first: until it is there, Ctrl-C is a traceback

# isort: split
import typer

from benchmarks import house
from benchmarks.events import command as events
from benchmarks.events import shapes
from benchmarks.faults import command as faults
from benchmarks.kgat import command as kgat
from benchmarks.night import command as night
from benchmarks.overlay import command as overlay
from benchmarks.page import command as page
from benchmarks.quality import accuracy, cold, freshness, logs, planted
from benchmarks.ranking import command as ranking
from benchmarks.ranking import ctr
from benchmarks.retrieval import command as retrieval
from benchmarks.speed import api, cost, demo, extractor, hostile, latency, reading, throughput, training
from benchmarks.swap import command as swap

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)
app.command("accuracy")(accuracy.main)
app.command("api")(api.main)
app.command("cold")(cold.main)
app.command("cost")(cost.main)
app.command("ctr")(ctr.main)
app.command("demo")(demo.main)
app.command("events")(events.main)
app.command("extractor")(extractor.main)
app.command("faults")(faults.main)
app.command("freshness")(freshness.main)
app.command("hostile")(hostile.main)
app.command("house")(house.main)
app.command("kgat")(kgat.main)
app.command("latency")(latency.main)
app.command("logs")(logs.main)
app.command("night")(night.main)
app.command("overlay")(overlay.main)
app.command("page")(page.main)
app.command("planted")(planted.main)
app.command("ranking")(ranking.main)
app.command("reading")(reading.main)
app.command("retrieval")(retrieval.main)
app.command("shapes")(shapes.main)
app.command("swap")(swap.main)
app.command("throughput")(throughput.main)
app.command("training")(training.main)


if __name__ == "__main__":
    console.run(app)
