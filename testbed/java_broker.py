"""One Kafka broker as a Java process, in a temporary folder: nothing is installed, nothing stays."""

import itertools
import random
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from testbed import child_server
from testbed.access.listeners import Listeners
from testbed.kafka_jars import tail

__all__ = ["PORTS", "JavaBroker", "free_ports"]

START_SECONDS = 240.0
# Below the range from which systems take ports for outgoing connections: in that range, a client that tries to reach a
# killed broker may be given the broker's own port. Several test processes at once share them out among themselves.
PORTS = range(20_000, 30_000)
LOW_CPU = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")  # compile less, and collect garbage on one thread
CLUSTER_ID = "bWluZHN0cmVhbS10ZXN0cw"  # 16 bytes in URL-safe base64: b"mindstream-tests"

# Until a killed broker's session ends, the one that takes its place is refused: 3 s, not Kafka's 9.
PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller_port}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
log.dirs={folder}/data
num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
"""


class JavaBroker:
    """One KRaft broker and controller; from the constructor to `remove` it owns a folder and two ports.

    Parameters
    ----------
    jars : Path
        Folder with Kafka's jars, see `kafka_jars.fetch_jars`.
    listeners : Listeners, optional
        More listeners, with TLS and SASL, besides the one at `bootstrap_servers`.
    low_cpu : bool
        Whether to take half the processor time of a broker that lives for a minute, and reach a fraction of the rate.
    """

    def __init__(self, jars: Path, listeners: Listeners | None = None, low_cpu: bool = False) -> None:
        port, controller_port = free_ports(2)
        self.bootstrap_servers = f"127.0.0.1:{port}"
        self.folder = Path(tempfile.mkdtemp(prefix="mindstream-kafka-"))
        self._java = ["java", "-cp", f"{jars}/*"]
        self._options = [*(LOW_CPU if low_cpu else ()), "-Xmx1G", *(listeners.java_options() if listeners else ())]
        self._properties = self.folder / "broker.properties"
        self._log = self.folder / "broker.log"
        self._process: subprocess.Popen[bytes] | None = None
        properties = PROPERTIES.format(port=port, controller_port=controller_port, folder=self.folder)
        self._properties.write_text(listeners.added_to(properties) if listeners else properties)
        self._scram = listeners.scram_options() if listeners else []

    def start(self) -> None:
        """Start the broker and wait until it answers.

        Raises
        ------
        RuntimeError
            If it ends, or does not answer in time; with the tail of its log.
        """
        if not (self.folder / "data").exists():
            self._format()
        process = self._process = self._spawn()
        deadline = time.monotonic() + START_SECONDS
        while not _answers(self.bootstrap_servers):
            if process.poll() is not None:
                raise RuntimeError(f"Kafka's broker ended before it answered; its log ends:\n{self._tail()}")
            if time.monotonic() > deadline:
                raise RuntimeError(
                    f"Kafka's broker did not answer in {START_SECONDS:g} s; its log ends:\n{self._tail()}"
                )
            time.sleep(0.05)

    def kill(self) -> None:
        """SIGKILL, as in a crash; nothing if it does not run."""
        process, self._process = self._process, None
        child_server.kill(process)

    def remove(self) -> None:
        """Kill the broker and remove its data.

        A clean shutdown would take seconds to save what nobody reads.
        """
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _format(self) -> None:
        tool = ["kafka.tools.StorageTool", "format", "--standalone", "-t", CLUSTER_ID, "-c", str(self._properties)]
        tool += self._scram
        done = subprocess.run([*self._java, *LOW_CPU, *tool], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"Kafka's StorageTool failed:\n{tail(done.stdout + done.stderr)}")

    def _spawn(self) -> subprocess.Popen[bytes]:
        command = [*self._java, *self._options, "kafka.Kafka", str(self._properties)]
        return child_server.start(self.folder, command, self._log)

    def _tail(self) -> str:
        return tail(self._log.read_text(errors="replace"))


def _answers(bootstrap_servers: str) -> bool:
    """Tell whether the one broker at this address takes part in its cluster."""
    host, port = bootstrap_servers.rsplit(":", 1)
    try:
        # First the bare port: a KafkaAdminClient that cannot connect leaks its thread and sockets.
        socket.create_connection((host, int(port)), timeout=1).close()
        with KafkaAdminClient(bootstrap_servers=bootstrap_servers, bootstrap_timeout_ms=10_000) as admin:
            return bool(admin.describe_cluster()["brokers"])
    except (OSError, KafkaError):
        return False


def free_ports(count: int) -> list[int]:
    """Find different free ports among PORTS."""
    tried = random.sample(PORTS, min(len(PORTS), 1000))
    return list(itertools.islice(filter(_is_free, tried), count))


def _is_free(port: int) -> bool:
    """Tell whether nothing listens on this port of 127.0.0.1."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
