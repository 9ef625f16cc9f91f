"""Parts of a system that tests and benchmarks need: found, else installed if we may install, else named as missing."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache

__all__ = ["Part", "PartMissing", "find", "provide"]

LOG_TAIL_LINES = 15
# In runlevel 1 Debian's packages do not start their services: a test starts its own redis-server.
QUIETLY = ("env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1")
APT_GET = (*QUIETLY, "apt-get", "-qy", "-oDPkg::Lock::Timeout=120")


class PartMissing(OSError):  # noqa: N818 - what a machine lacks, not a fault of what it has
    """A part of the system that this machine lacks; the message names it.

    The tests' conftest makes a skip of it, or a failure under CI; a benchmark's command line prints it.
    """


@dataclass(frozen=True)
class Part:
    """A command, where it may be, and who brings it.

    Attributes
    ----------
    paths : tuple of str
        Names on PATH, or absolute paths; the first that exists is taken.
    packages : tuple of str
        Debian's packages; the first that can be installed is taken.
    """

    paths: tuple[str, ...]
    packages: tuple[str, ...] = ()


PARTS = {
    "java": Part(("java",), ("openjdk-17-jre-headless", "default-jre-headless")),  # Kafka 4 wants 17 or later
    "mvn": Part(("mvn",), ("maven",)),
    "openssl": Part(("openssl",), ("openssl",)),
    "redis-server": Part(("redis-server",), ("redis-server",)),
    "chromium": Part(
        (
            "chromium",
            "chromium-browser",
            "google-chrome",
            "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
            "/Applications/Chromium.app/Contents/MacOS/Chromium",
        ),
        ("chromium",),
    ),
}


def provide(*commands: str) -> list[str]:
    """Find commands, and install those that are missing if we are root on Debian or Ubuntu.

    Parameters
    ----------
    commands : str
        Names in PARTS, or any command's name.

    Returns
    -------
    list of str
        The commands' paths, in the same order.

    Raises
    ------
    PartMissing
        If a command is not there and could not be installed.
    """
    return [find(command) or _install(command) for command in commands]


def find(command: str) -> str | None:
    """Return the path of a command, or None if it is not installed."""
    paths = PARTS.get(command, Part((command,))).paths
    return next(filter(None, map(shutil.which, paths)), None)


def _install(command: str) -> str:
    """Install a command's Debian package and return its path."""
    packages = PARTS.get(command, Part((command,))).packages
    if not packages or os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise PartMissing(f"{command} is not installed")
    log = _update_package_lists()
    for package in packages:
        log = _run(*APT_GET, "install", "--no-install-recommends", package)
        if find(command):
            break
    if found := find(command):
        return found
    raise PartMissing(f"{command} is not installed, and apt-get could not install it:\n{log}")


@cache
def _update_package_lists() -> str:
    """Run `apt-get update`, once a session; without it a fresh machine knows no packages."""
    return _run(*APT_GET, "update")


def _run(*command: str) -> str:
    """Run a command to its end without input and return the tail of what it printed."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return "\n".join(done.stdout.splitlines()[-LOG_TAIL_LINES:])
