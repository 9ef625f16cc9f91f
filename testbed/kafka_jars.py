"""Apache Kafka's own jars, fetched once by Maven into the user's cache."""

import shutil
import subprocess
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from mindstream import settings
from testbed.system_packages import PartMissing

__all__ = ["KafkaUnavailable", "fetch_jars", "jars_folder", "needed_commands", "tail"]

POM = Path(__file__).with_name("real_kafka.pom.xml")
LOG_TAIL_LINES = 30


class KafkaUnavailable(PartMissing):
    """A real Kafka that cannot run on this machine; the message names what is missing."""


def jars_folder() -> Path:
    """Return the folder in the cache for the jars of the POM's version of Kafka."""
    version = ElementTree.parse(POM).findtext(".//{*}kafka.version")
    return settings.load().cache / f"kafka-{version}"


def needed_commands() -> tuple[str, ...]:
    """Name the commands that a Java broker needs on this machine.

    Java alone if the jars are in the cache.
    """
    return ("java",) if jars_folder().exists() else ("java", "mvn")


def fetch_jars() -> Path:
    """Fetch Kafka's jars, unless they are there already.

    Returns
    -------
    Path
        The folder with the jars.

    Raises
    ------
    KafkaUnavailable
        Names the commands that are not installed, or shows what Maven said.
    """
    missing = [command for command in needed_commands() if shutil.which(command) is None]
    if missing:
        be = "is" if len(missing) == 1 else "are"
        raise KafkaUnavailable(f"{' and '.join(missing)} {be} not installed, and no Docker daemon answers")
    folder = jars_folder()
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix="fetching-") as unfinished:
            _fetch_into(folder, Path(unfinished) / "jars")
    return folder


def _fetch_into(folder: Path, unfinished: Path) -> None:
    """Fill `unfinished`, then rename it.

    A fetch that was interrupted leaves nothing that looks whole.
    """
    command = ["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={unfinished}"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise KafkaUnavailable(f"Maven could not fetch Kafka's jars:\n{tail(done.stdout + done.stderr)}")
    try:
        unfinished.rename(folder)
    except OSError:
        if not folder.exists():  # else another process was first, with the same jars
            raise


def tail(text: str) -> str:
    """Return the last lines of a log."""
    return "\n".join(text.splitlines()[-LOG_TAIL_LINES:])
