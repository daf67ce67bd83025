"""A private Slurm cluster on the loopback interface: munged, slurmctld and one slurmd per node."""

import getpass
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "scancel")
REPOSITORY = Path(__file__).parents[2]
CONFIGURATION = """\
ClusterName=ganforge
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock,cred_expire=10
CredType=cred/munge
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
MpiDefault=none
ReturnToService=2
KillWait=5
MinJobAge=3600
"""


class Cluster:
    """Nodes n1, n2, ... with one CPU each, started on construction.

    Args:
        folder: where everything lives; its path must be short, for the sake of the socket.
        num_nodes: how many.
    """

    def __init__(self, folder: Path, num_nodes: int) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "SLURM_CONF": str(folder / "slurm.conf"),
            "GLOO_SOCKET_IFNAME": "lo",
            "GANFORGE_PYTHON": sys.executable,
            "GANFORGE_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
        }
        self._daemons: list[subprocess.Popen[bytes]] = []
        try:
            self._start(num_nodes)
        except BaseException:
            self.stop()
            raise

    def _start(self, num_nodes: int) -> None:
        folder = self.folder
        folder.chmod(0o755)
        (folder / "state").mkdir()
        key = folder / "munge.key"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o600)
        write_configuration(folder, num_nodes)
        self._daemon(
            *("munged", "--force", "--foreground", f"--key-file={key}"),
            *(f"--socket={folder}/munge.sock", f"--pid-file={folder}/munge.pid"),
            *(f"--log-file={folder}/munged.log", f"--seed-file={folder}/munge.seed"),
        )
        wait_until(lambda: (folder / "munge.sock").exists(), "munged")
        self._daemon("slurmctld", "-D", "-i")
        wait_until(lambda: "UP" in self.call("scontrol", "ping", check=False), "slurmctld")
        for number in range(1, num_nodes + 1):
            self._daemon("slurmd", "-D", "-N", f"n{number}")
        wait_until(
            lambda: self.call("scontrol", "show", "node", "-o").count("State=IDLE ") == num_nodes,
            "the nodes",
        )

    def _daemon(self, *command: str) -> None:
        with (self.folder / f"{command[0]}.out").open("ab") as output:
            self._daemons.append(
                subprocess.Popen(command, env=self.environment, stdout=output, stderr=output)
            )

    def call(self, *command: str, cwd: Path | None = None, check: bool = True) -> str:
        """The output of a Slurm command."""
        done = subprocess.run(
            command, env=self.environment, cwd=cwd, capture_output=True, text=True, timeout=60
        )
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed: {done.stdout}{done.stderr}")
        return done.stdout

    def submit(self, folder: Path, *arguments: str, script: str = "train.sbatch") -> str:
        """Submit a script of slurm/ from a folder; returns the job's number."""
        script = str(REPOSITORY / "slurm" / script)
        split = next(i for i, part in enumerate(arguments) if not part.startswith("-"))
        options, rest = arguments[:split], arguments[split:]
        return self.call(
            "sbatch", "--parsable", "--output=job.log", *options, script, *rest, cwd=folder
        ).strip()

    def job(self, number: str) -> dict[str, str]:
        """What Slurm says of a job."""
        text = self.call("scontrol", "show", "job", "-o", number)
        return dict(part.split("=", 1) for part in text.split() if "=" in part)

    def stop(self) -> None:
        """Cancel all jobs, then end the daemons that were started, last first."""
        if len(self._daemons) > 1:
            self.call("scancel", "--user", getpass.getuser(), check=False)
            deadline = time.monotonic() + 15
            while time.monotonic() < deadline and self.call("squeue", "-h", check=False):
                time.sleep(0.1)
        for daemon in reversed(self._daemons):
            daemon.terminate()
            try:
                daemon.wait(timeout=10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


def write_configuration(folder: Path, num_nodes: int) -> None:
    """Write slurm.conf and cgroup.conf with free ports."""
    host, ports = socket.gethostname().split(".")[0], free_ports(num_nodes + 1)
    lines = [
        CONFIGURATION.format(folder=folder, host=host, port=ports[0], user=getpass.getuser()),
        *(
            f"NodeName=n{number} NodeHostname={host} NodeAddr=127.0.0.1 "
            f"Port={ports[number]} CPUs=1 State=UNKNOWN\n"
            for number in range(1, num_nodes + 1)
        ),
        f"PartitionName=main Nodes=n[1-{num_nodes}] Default=YES MaxTime=60 State=UP\n",
    ]
    (folder / "slurm.conf").write_text("".join(lines))
    # Read although no cgroup plugin is used; looking for the version fails in some containers.
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n")


def free_ports(count: int) -> list[int]:
    """TCP ports that nothing listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for opened in sockets:
        opened.bind(("127.0.0.1", 0))
    ports = [int(opened.getsockname()[1]) for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports


def wait_until(condition, what: str, seconds: float = 60) -> None:
    """Poll until a condition holds.

    Raises:
        RuntimeError: it does not in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited {seconds} s in vain for {what}")
        time.sleep(0.1)


def missing_programs() -> list[str]:
    """What of Slurm is not installed."""
    return [name for name in PROGRAMS if shutil.which(name) is None]
