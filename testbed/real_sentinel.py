"""Real Redis Sentinels for tests: a primary, a replica, and three sentinels that let the replica take over."""

import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from redis import Redis

from testbed import child_server
from testbed.java_broker import free_ports
from testbed.real_redis import RealRedis

__all__ = ["SERVICE", "RealSentinels"]

SERVICE = "shop"
SENTINELS, QUORUM = 3, 2
TURNS_WITHIN_S = 60.0


class RealSentinels:
    """A primary with a replica behind three sentinels, while the context lasts.

    Parameters
    ----------
    password : of both Redis.
    own_password : of the sentinels.
    tls : folder with ca.pem, server.pem and server.key; then all of it speaks nothing but TLS.

    Attributes
    ----------
    url : as MINDSTREAM_REDIS wants it.
    """

    def __init__(self, password: str = "", own_password: str = "", tls: Path | None = None) -> None:
        options = [*(["--masterauth", password] if password else []), *(["--tls-replication", "yes"] if tls else [])]
        self.primary = RealRedis(*options, password=password, tls=tls)
        self.replica = RealRedis(*options, password=password, tls=tls)
        self.password, self.own_password, self.tls = password, own_password, tls
        self.ports = free_ports(SENTINELS)
        self.folder = Path(tempfile.mkdtemp(prefix="mindstream-sentinel-"))
        self.processes: list[subprocess.Popen[bytes]] = []

    @property
    def url(self) -> str:
        """Return the url with both passwords."""
        scheme = "rediss+sentinel" if self.tls else "redis+sentinel"
        login = f":{self.password}@" if self.password else ""
        options = [f"sentinel_password={self.own_password}"] * bool(self.own_password)
        options += [f"ssl_ca_certs={self.tls / 'ca.pem'}"] if self.tls else []
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        return f"{scheme}://{login}{hosts}/{SERVICE}?{'&'.join(options)}"

    def fail_over(self) -> None:
        """Kill the primary and wait until the replica has taken over."""
        self.primary.kill()
        self._wait(lambda: self._role(self.replica) == "master", "the replica has taken over")

    def _role(self, redis: RealRedis) -> str:
        with redis.client() as client:
            return str(client.info("replication")["role"])

    def _wait(self, done: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + TURNS_WITHIN_S
        while not done():
            assert time.monotonic() < deadline, f"not within {TURNS_WITHIN_S:.0f} s: {what}"
            time.sleep(0.05)

    def _configured(self, port: int) -> list[str]:
        """Return the lines of a sentinel's configuration."""
        lines = [f"dir {self.folder}", "bind 127.0.0.1", f"port {0 if self.tls else port}"]
        if self.tls:
            files = [("ca-cert", "ca.pem"), ("cert", "server.pem"), ("key", "server.key")]
            lines += [f"tls-port {port}", "tls-replication yes", "tls-auth-clients no"]
            lines += [f"tls-{name}-file {self.tls / file}" for name, file in files]
        lines += [f"requirepass {self.own_password}"] if self.own_password else []
        lines += [f"sentinel monitor {SERVICE} 127.0.0.1 {self.primary.port} {QUORUM}"]
        lines += [f"sentinel auth-pass {SERVICE} {self.password}"] if self.password else []
        lines += [f"sentinel down-after-milliseconds {SERVICE} 1000", f"sentinel failover-timeout {SERVICE} 5000"]
        return lines

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as starting:
            starting.callback(shutil.rmtree, self.folder, ignore_errors=True)
            starting.enter_context(self.primary)
            starting.enter_context(self.replica)
            with self.replica.client() as client:
                client.replicaof("127.0.0.1", self.primary.port)
            for port in self.ports:
                self._start(port)
                starting.callback(child_server.kill, self.processes[-1])
            self._wait(self._is_complete, "the sentinels know each other and the replica")
            self.closing = starting.pop_all()
        return self

    def _start(self, port: int) -> None:
        """Start a sentinel."""
        file = self.folder / f"{port}.conf"
        file.write_text("\n".join(self._configured(port)) + "\n")
        command = [self.primary.server, str(file), "--sentinel"]
        self.processes.append(child_server.start(self.folder, command, self.folder / f"{port}.log"))

    def _is_complete(self) -> bool:
        """Tell whether all sentinels know all the others, and the replica has a copy."""
        with self.replica.client() as client:
            has_copy = client.info("replication").get("master_link_status") == "up"
        return has_copy and all(self._knows_all(port) for port in self.ports)

    def _knows_all(self, port: int) -> bool:
        """Tell whether one sentinel does."""
        tls: dict[str, Any] = {"ssl": True, "ssl_ca_certs": str(self.tls / "ca.pem")} if self.tls else {}
        try:
            with Redis(port=port, host="127.0.0.1", password=self.own_password or None, protocol=2, **tls) as client:
                state = client.sentinel_master(SERVICE)
        except Exception:
            return False
        return bool(state["num-slaves"] == 1 and state["num-other-sentinels"] == SENTINELS - 1)

    def __exit__(self, *_: object) -> None:
        self.closing.close()
