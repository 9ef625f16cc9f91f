"""Real Redis servers for tests: Debian's redis-server on free ports, in a temporary folder."""

import contextlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

from redis import Redis
from redis.exceptions import ResponseError

from testbed import child_server, system_packages
from testbed.java_broker import free_ports

__all__ = ["RealRedis", "RealRedisCluster"]

START_SECONDS = 240.0
SLOTS = 16_384


class RealRedis:
    """One redis-server, from entering the context until leaving it. What was acknowledged survives `kill`.

    That takes `appendfsync always`: with `everysec` Redis may keep writes to itself while it waits for the disk.

    Parameters
    ----------
    options : str
        Of redis-server, such as "--requirepass", "secret".
    password : str
        What clients give where the options ask for one.
    tls : Path
        Folder with ca.pem, server.pem and server.key; then it speaks nothing but TLS.

    Attributes
    ----------
    url : str
        As MINDSTREAM_REDIS wants it.
    """

    def __init__(self, *options: str, password: str = "", tls: Path | None = None) -> None:
        [self.server] = system_packages.provide("redis-server")
        [self.port] = free_ports(1)
        self.options, self.password, self.tls = options, password, tls
        self.address = f"127.0.0.1:{self.port}"
        login = f":{password}@" if password else ""
        end = f"?ssl_ca_certs={tls / 'ca.pem'}" if tls else ""
        self.url = f"{'rediss' if tls else 'redis'}://{login}{self.address}/0{end}"
        self.folder = Path(tempfile.mkdtemp(prefix="mindstream-redis-"))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers with all its data."""
        self.process = child_server.start(self.folder, self.command(), self.folder / "redis.log")
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            said = (self.folder / "redis.log").read_text(errors="replace")[-2000:]
            assert self.process.poll() is None, f"redis-server ended:\n{said}"
            assert time.monotonic() < deadline, f"redis-server did not answer in {START_SECONDS:.0f} s:\n{said}"
            time.sleep(0.01)

    def command(self) -> list[str]:
        """Return the command line of the server."""
        port = ["--port", str(self.port)]
        if self.tls:
            files = [("ca-cert", "ca.pem"), ("cert", "server.pem"), ("key", "server.key")]
            port = ["--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no"]
            port += [word for name, file in files for word in (f"--tls-{name}-file", str(self.tls / file))]
        password = ["--requirepass", self.password] if self.password else []
        kept = ["--dir", str(self.folder), "--appendonly", "yes", "--appendfsync", "always", "--save", ""]
        return [self.server, "--bind", "127.0.0.1", *port, *kept, *password, *self.options]

    def answers(self) -> bool:
        """Tell whether it listens and has loaded its data."""
        try:
            # First the bare port: a client that is refused leaves a socket to the garbage collector.
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            with self.client() as client:
                return bool(client.ping())
        except Exception:
            return False

    def client(self) -> Redis:
        """Make a client of redis-py; use it as a context manager."""
        tls: dict[str, Any] = {"ssl": True, "ssl_ca_certs": str(self.tls / "ca.pem")} if self.tls else {}
        return Redis(host="127.0.0.1", port=self.port, password=self.password or None, protocol=2, **tls)

    def flush(self) -> None:
        """Remove all data."""
        with self.client() as client:
            client.flushall()

    def forget_scripts(self) -> None:
        """SCRIPT FLUSH."""
        with self.client() as client:
            client.script_flush()

    def stop(self) -> None:
        """Stop it by SIGTERM, so that it saves and ends."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait()
        self.kill()

    def kill(self) -> None:
        """Kill it, as in a crash; do nothing if it does not run."""
        process, self.process = self.process, None
        child_server.kill(process)

    def restart(self) -> None:
        """Stop it and start it on the same port with the same data."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Pause it by SIGSTOP: it still takes connections, and answers nothing."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Resume it by SIGCONT."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:  # __exit__ will not be called
            self.remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Kill it and drop its data."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class RealRedisCluster:
    """A Redis Cluster of three primaries.

    Parameters
    ----------
    replicas : of each primary.
    password, tls : as of RealRedis.
    options : of each redis-server.

    Attributes
    ----------
    primaries : the first three nodes, which have the slots at the start.
    """

    def __init__(self, *options: str, replicas: int = 0, password: str = "", tls: Path | None = None) -> None:
        self.buses = free_ports(3 * (1 + replicas))
        own = ["--cluster-enabled", "yes", *(["--tls-cluster", "yes", "--tls-replication", "yes"] if tls else [])]
        own += ["--masterauth", password] if password else []
        self.nodes = [
            RealRedis(*own, "--cluster-port", str(bus), *options, password=password, tls=tls) for bus in self.buses
        ]
        self.primaries = self.nodes[:3]
        scheme, rest = self.primaries[0].url.split("://")
        login, _, host = rest.replace("/0", "").rpartition("@")
        self.url = f"{scheme}+cluster://{login + '@' if login else ''}{host}"

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as starting:
            for node in self.nodes:
                starting.enter_context(node)
            self._introduce()
            self.closing = starting.pop_all()
        return self

    def _introduce(self) -> None:
        """Give each primary a third of the slots and its replicas, and wait until all know it."""
        share = -(-SLOTS // len(self.primaries))
        for number, node in enumerate(self.nodes):
            with node.client() as client:
                if node in self.primaries:
                    slots = (number * share, min(SLOTS, (number + 1) * share) - 1)
                    client.execute_command("CLUSTER ADDSLOTSRANGE", *slots)
                client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
                if number:
                    client.execute_command("CLUSTER MEET", "127.0.0.1", self.nodes[0].port, self.buses[0])
        self.wait()
        for number, node in enumerate(self.nodes[3:]):
            self._replicate(node, self.primaries[number % 3])
        self.wait()

    def _replicate(self, node: RealRedis, primary: RealRedis) -> None:
        """Make a node the replica of another one, once it has heard of that."""
        with primary.client() as client:
            name = client.execute_command("CLUSTER MYID").decode()
        deadline = time.monotonic() + START_SECONDS
        with node.client() as client:
            while True:
                try:
                    client.execute_command("CLUSTER REPLICATE", name)
                    return
                except ResponseError:
                    assert time.monotonic() < deadline, f"{node.address} has not heard of {primary.address}"
                    time.sleep(0.05)

    def wait(self) -> None:
        """Return once all nodes know who holds all slots."""
        deadline = time.monotonic() + START_SECONDS
        while not all(self._is_complete(node) for node in self.nodes):
            assert time.monotonic() < deadline, "the Redis Cluster did not come together"
            time.sleep(0.05)

    def _is_complete(self, node: RealRedis) -> bool:
        """Tell whether a node knows who holds all slots."""
        with node.client() as client:
            known = client.execute_command("CLUSTER SLOTS")
            info = client.execute_command("CLUSTER INFO")
            link = client.info("replication").get("master_link_status", "up")
        return info["cluster_state"] == "ok" and len(known) == len(self.primaries) and link == "up"

    def fail_over(self, part: int) -> RealRedis:
        """Kill the node that holds the first, second or third part of the slots.

        Return it once another one holds them.
        """
        holder = self._holder(part, self.nodes)
        holder.kill()
        others = [node for node in self.nodes if node is not holder]
        deadline = time.monotonic() + START_SECONDS
        while self._holder(part, others) is holder:
            assert time.monotonic() < deadline, f"no replica has taken over from {holder.address}"
            time.sleep(0.05)
        return holder

    def _holder(self, part: int, asked: Sequence[RealRedis]) -> RealRedis:
        """Return the node that holds the first slot of a part.

        Itself if those that are asked do not agree.
        """
        first, found = part * -(-SLOTS // len(self.primaries)), []
        for node in asked:
            with node.client() as client:
                slots = client.execute_command("CLUSTER SLOTS")
            found += [one[2][1] for one in slots if one[0] <= first <= one[1]]
        return next(node for node in self.nodes if node.port == max(found, key=found.count))

    def move(self, key: str, halfway: Callable[[], object]) -> None:
        """Move a key and its slot to another node of the cluster.

        Parameters
        ----------
        halfway : called when the key alone has moved.
        """
        with contextlib.ExitStack() as clients:
            nodes = [clients.enter_context(node.client()) for node in self.nodes]
            slot = nodes[0].execute_command("CLUSTER KEYSLOT", key)
            giving = slot // -(-SLOTS // len(nodes))
            taking = (giving + 1) % len(nodes)
            ids = [node.execute_command("CLUSTER MYID").decode() for node in nodes]
            nodes[taking].execute_command("CLUSTER SETSLOT", slot, "IMPORTING", ids[giving])
            nodes[giving].execute_command("CLUSTER SETSLOT", slot, "MIGRATING", ids[taking])
            nodes[giving].execute_command("MIGRATE", "127.0.0.1", self.nodes[taking].port, key, 0, 5000)
            halfway()
            for node in (nodes[taking], nodes[giving]):
                node.execute_command("CLUSTER SETSLOT", slot, "NODE", ids[taking])

    def flush(self) -> None:
        """Remove all data."""
        for node in self.primaries:
            node.flush()

    def forget_scripts(self) -> None:
        """SCRIPT FLUSH on every node."""
        for node in self.nodes:
            node.forget_scripts()

    def __exit__(self, *_: object) -> None:
        self.closing.close()
