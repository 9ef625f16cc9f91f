"""Commands that take a log: the options of a mapping, from the command line and from a TOML file."""

from pathlib import Path

import typer
from typer.testing import CliRunner

from mindstream.log_options import LogPath, takes_log
from mindstream.mapping import Mapping
from tests.support.logs import put

LOG = __file__  # any file that is there
app = typer.Typer()
seen: list[tuple[str, int, Mapping]] = []


@app.command()
@takes_log
def command(log: LogPath, mapping: Mapping, times: int = 1) -> None:
    """Do something with a log."""
    seen.append((log, times, mapping))


def run(*words: object) -> tuple[str, int, Mapping]:
    found = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return seen.pop()


def test_every_field_is_an_option() -> None:
    output = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    for name in (*Mapping.model_fields, "mapping"):
        assert f"--{name.replace('_', '-')} " in output
    assert "How the log is to be read" in output


def test_options() -> None:
    assert run(LOG) == (LOG, 1, Mapping())
    words = ["--user", "uid", "--columns", "a, b", "--untimed", "--min-value", "3", "--skip-lines", "2", "--times", "7"]
    assert run(LOG, *words, "--items", "items.csv", "--delimiter", "\\t") == (
        LOG,
        7,
        Mapping(
            user="uid",
            delimiter="\t",
            columns=("a", "b"),
            untimed=True,
            min_value=3,
            skip_lines=2,
            items=Path("items.csv"),
        ),
    )


def test_toml_below_options(tmp_path: Path) -> None:
    file = put(tmp_path / "shop.toml", 'user = "uid"\nitem = "sku"\n')
    assert run(LOG, "--mapping", file, "--user", "other")[2] == Mapping(user="other", item="sku")


def test_wrong_values_are_errors() -> None:
    assert CliRunner().invoke(app, [LOG, "--skip-lines", "many"]).exit_code == 2
    found = CliRunner().invoke(app, [LOG, "--skip-lines", "-1"])
    assert isinstance(found.exception, ValueError)
    assert "--skip-lines is -1" in str(found.exception)


def test_a_log_that_is_not_there_is_named() -> None:
    assert CliRunner().invoke(app, ["nowhere.csv"]).exit_code == 2
    assert run("s3://shop/nowhere.csv")[0] == "s3://shop/nowhere.csv"  # of an address nothing is known yet
    assert run(f"{Path(LOG).parent}/*.py")[0].endswith("*.py")
