"""A Slurm of one node in a private directory, for the time of a `with`: needs no munge, no configuration and no
running daemon, and leaves no process behind, whatever happens inside."""

import ctypes
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

PR_SET_CHILD_SUBREAPER = 36

CONFIG = """\
ClusterName=holdfast
SlurmctldHost={host}(127.0.0.1)
AuthType=auth/none
CredType=cred/none
SlurmUser={user}
SlurmdUser={user}
SlurmctldPidFile={dir}/slurmctld.pid
SlurmdPidFile={dir}/slurmd.pid
SlurmctldLogFile={dir}/slurmctld.log
SlurmdLogFile={dir}/slurmd.log
StateSaveLocation={dir}/state
SlurmdSpoolDir={dir}/spool
SlurmctldPort={port}
SlurmdPort={port2}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SlurmdParameters=config_overrides
KillWait=2
TmpFS={dir}/tmp
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 State=UNKNOWN
PartitionName=test Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=YES
"""


class Unavailable(Exception):
    """Slurm is not installed, or cannot run here."""


def descendants(root):
    """All processes below `root`, deepest last."""
    children = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except (OSError, IndexError):
                continue
            if fields[0] != "Z":
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, todo = [], [root]
    while todo:
        for child in children.get(todo.pop(), []):
            found.append(child)
            todo.append(child)
    return found


def two_free_ports():
    with socket.socket() as a, socket.socket() as b:
        a.bind(("127.0.0.1", 0))
        b.bind(("127.0.0.1", 0))
        return a.getsockname()[1], b.getsockname()[1]


class Slurm:
    def __init__(self):
        self.directory = None

    def __enter__(self):
        for program in ("slurmctld", "slurmd", "srun", "sinfo"):
            if not shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
                raise Unavailable(f"{program} is not installed (Debian: slurmctld slurmd slurm-client)")
        if os.geteuid() != 0:
            raise Unavailable("slurmd starts steps as root only")
        # Step daemons leave their parent; they come to us instead of init, so that none can be missed.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.before = set(descendants(os.getpid()))
        self.directory = tempfile.mkdtemp(prefix="slurm-test-")
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self):
        d = self.directory
        host = socket.gethostname().split(".")[0]
        port, port2 = two_free_ports()
        for name in ("state", "spool", "tmp"):
            os.mkdir(f"{d}/{name}")
        config = f"{d}/slurm.conf"
        pathlib.Path(config).write_text(
            CONFIG.format(host=host, user="root", dir=d, port=port, port2=port2))
        self.environment = dict(os.environ, SLURM_CONF=config, PATH=os.environ["PATH"] + ":/usr/sbin:/sbin")
        with open(f"{d}/output", "w") as output:
            for command in (["slurmctld", "-D", "-f", config], ["slurmd", "-D", "-N", host, "-f", config]):
                subprocess.Popen(command, env=self.environment, stdout=output, stderr=output,
                                 stdin=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while time.monotonic() < until:
            state = subprocess.run(["sinfo", "-h", "-o", "%T"], env=self.environment, capture_output=True, text=True)
            if "idle" in state.stdout:
                return
            time.sleep(0.1)
        raise Unavailable("the private Slurm did not come up:\n" + pathlib.Path(f"{d}/output").read_text()[-3000:])

    def __exit__(self, *_):
        until = time.monotonic() + 30
        while time.monotonic() < until:
            left = [pid for pid in descendants(os.getpid()) if pid not in self.before]
            if not left:
                break
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.05)
        if self.directory:
            shutil.rmtree(self.directory, ignore_errors=True)
