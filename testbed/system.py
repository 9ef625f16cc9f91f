"""The parts of a system that tests need: found, else installed where that is ours to do, else said."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from typing import NoReturn

import pytest

from mindstream import settings

__all__ = ["Part", "find", "lacking", "provide"]

LOG_TAIL_LINES = 15
# In runlevel 1 Debian's packages do not start their services: a test starts its own redis-server.
QUIETLY = ("env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1")
APT_GET = (*QUIETLY, "apt-get", "-qy", "-oDPkg::Lock::Timeout=120")


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
    """Make sure that commands are there; root on Debian or Ubuntu installs what is missing.

    Parameters
    ----------
    commands : str
        Names in PARTS, or any command's name.

    Returns
    -------
    list of str
        The commands' paths, in the same order. Where one is missing the test is skipped, or fails under CI.
    """
    return [find(command) or _install(command) for command in commands]


def find(command: str) -> str | None:
    """The path of a command, if it is there."""
    paths = PARTS.get(command, Part((command,))).paths
    return next(filter(None, map(shutil.which, paths)), None)


def _install(command: str) -> str:
    """Install a command's Debian package and give its path, or end the test."""
    packages = PARTS.get(command, Part((command,))).packages
    if not packages or os.geteuid() != 0 or shutil.which("apt-get") is None:
        lacking(f"{command} is not installed")
    log = _update_package_lists()
    for package in packages:
        log = _run(*APT_GET, "install", "--no-install-recommends", package)
        if find(command):
            break
    return find(command) or lacking(f"{command} is not installed, and apt-get could not install it:\n{log}")


def lacking(reason: str) -> NoReturn:
    """Skip the test because this machine lacks a part; under CI, where nobody reads of skips, fail it."""
    if settings.load().ci:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@cache
def _update_package_lists() -> str:
    """Run `apt-get update`, once a session; without it a fresh machine knows no packages."""
    return _run(*APT_GET, "update")


def _run(*command: str) -> str:
    """Run a command to its end without input; the tail of what it printed."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return "\n".join(done.stdout.splitlines()[-LOG_TAIL_LINES:])
