#!/usr/bin/env python3
"""holdfast_run_test.py HOLDFAST_RUN LAUNCH_PROBE: what holdfast-run promises on its command line."""

import os
import pathlib
import re
import select
import shlex
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import unittest

RUN, PROBE = "", ""
LIMIT_S = 60  # far above what any test takes

# Used as ssh is: a host, then one command for a shell, in another directory and without our environment.
AGENT = """#!/bin/sh
host=$1; shift
[ "$host" = unreachable ] && { echo "no route to $host" >&2; exit 255; }
cd / && exec env -i PATH=/usr/bin:/bin TEST_HOST="$host" sh -c "$*"
"""

# detach [PREFIX...]: starts a sleeper under PREFIX in the background, and says its process number when it sleeps.
DETACH = """detach() {
  f=detached.$HOLDFAST_RANK; rm -f $f; mkfifo $f
  "$@" sh -c 'echo $$ >'$f'; exec sleep 1000' & read pid <$f; echo $pid
}"""


def is_alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def is_full(file):
    return not select.select([], [file], [], 0)[1]


def output_is_full(pid_file):
    """Whether a rank, which has left its process number in a file, waits for room in its standard output."""
    try:
        with open(f"/proc/{int(pid_file.read_text())}/fd/1", "wb", buffering=0) as output:
            return is_full(output)
    except (OSError, ValueError):
        return False


class Started(subprocess.Popen):
    """Is ended by what fails in its block, too."""

    def __exit__(self, kind, *rest):
        if kind:
            self.kill()
        return super().__exit__(kind, *rest)


class HoldfastRun(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="holdfast run's test ")  # to be quoted everywhere
        self.addCleanup(temporary.cleanup)
        self.directory = pathlib.Path(temporary.name)
        self.rendezvous = self.directory / "meet"
        self.rendezvous.mkdir()
        self.agent = tempfile.NamedTemporaryFile("w", suffix=".sh", delete=False)
        self.addCleanup(os.unlink, self.agent.name)
        self.agent.write(AGENT)
        self.agent.close()
        os.chmod(self.agent.name, 0o755)

    def start(self, *words, **options):
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        return Started([RUN, "--rendezvous", str(self.rendezvous), *words], stdin=subprocess.DEVNULL, text=True,
                       cwd=self.directory, **options)

    def run_it(self, *words, **options):
        with self.start(*words, **options) as process:
            process.out, process.err = process.communicate(timeout=LIMIT_S)
        self.assertEqual(os.listdir(self.rendezvous), [], "a rendezvous directory was left behind")
        return process

    def hosts(self, *hosts):
        return ["--hosts", ",".join(hosts), "--agent", self.agent.name]

    def channel(self, kind="pipe"):
        """For output: an end to read, and the one to write, which shows whether there is room."""
        make = {"pipe": os.pipe, "socket": lambda: [s.detach() for s in socket.socketpair()], "terminal": os.openpty}
        ends = [open(fd, mode, buffering=0) for fd, mode in zip(make[kind](), ("rb", "wb"))]
        for end in ends:
            self.addCleanup(end.close)
        return ends

    def gate(self):
        """What shell scripts wait at with `read x <gate`, and what opens it."""
        os.mkfifo(self.directory / "gate")
        gate = os.open(self.directory / "gate", os.O_RDWR)
        self.addCleanup(os.close, gate)
        return lambda: os.write(gate, b"\n")

    def wait_for(self, condition, what):
        until = time.monotonic() + LIMIT_S
        while not condition():
            self.assertLess(time.monotonic(), until, what)
            time.sleep(0.01)

    def pids(self, process, count):
        """The process numbers that ranks print, in lines of their own."""
        return [int(process.stdout.readline().split()[-1]) for _ in range(count)]

    def test_lines_are_whole_prefixed_and_apart(self):
        done = self.run_it("-n", "3", "sh", "-c", 'echo "out  $HOLDFAST_RANK"; echo err >&2; printf "no end"')
        self.assertEqual(done.returncode, 0)
        self.assertEqual(sorted(done.out.splitlines()),
                         sorted(f"[{r}] {t}" for r in range(3) for t in (f"out  {r}", "no end")))
        self.assertEqual(sorted(done.err.splitlines()), ["[0] err", "[1] err", "[2] err"])

    def test_much_output_at_once_is_not_mixed(self):
        script = "i=0; while [ $i -lt 2000 ]; do echo $HOLDFAST_RANK$HOLDFAST_RANK$HOLDFAST_RANK $i; i=$((i+1)); done"
        done = self.run_it("-n", "4", "sh", "-c", script)
        for rank in range(4):
            mine = [line for line in done.out.splitlines() if line.startswith(f"[{rank}] ")]
            self.assertEqual(mine, [f"[{rank}] {str(rank) * 3} {i}" for i in range(2000)])
        self.assertEqual(len(done.out.splitlines()), 8000)

    def test_no_prefix(self):
        self.assertEqual(self.run_it("-n", "1", "--no-prefix", "echo", "-n", "--ranks", "x y").out, "--ranks x y\n")

    def test_ranks_have_their_environment_and_no_input(self):
        script = 'echo $HOLDFAST_RANK/$HOLDFAST_SIZE $IPATH_NO_BACKTRACE $(stat -c %a "$HOLDFAST_RENDEZVOUS"); cat'
        done = self.run_it("-n", "2", "--no-prefix", "sh", "-c", script)
        self.assertEqual(sorted(done.out.splitlines()), ["0/2 1 700", "1/2 1 700"])

    def test_one_failure_ends_the_others_and_gives_the_code(self):
        done = self.run_it("-n", "3", "sh", "-c", '[ $HOLDFAST_RANK = 1 ] && exit 3; exec sleep 1000')
        self.assertEqual(done.returncode, 3)
        self.assertIn("rank 1 returned 3", done.err)

    def test_keep_going_returns_the_worst_code(self):
        script = '[ $HOLDFAST_RANK = 0 ] && exit 3; [ $HOLDFAST_RANK = 1 ] && kill -9 $$; echo fine'
        done = self.run_it("-n", "3", "--keep-going", "sh", "-c", script)
        self.assertEqual((done.returncode, done.out), (128 + 9, "[2] fine\n"))

    def test_of_ranks_that_end_by_themselves_at_once_the_worst_code_counts(self):
        open_gate = self.gate()
        script = 'echo $$; read x <gate; exit $((3 + 4 * HOLDFAST_RANK))'
        with self.start("-n", "2", "sh", "-c", script) as process:
            pids = self.pids(process, 2)
            process.send_signal(signal.SIGSTOP)
            for _ in pids:
                open_gate()
            self.wait_for(lambda: not any(map(is_alive, pids)), "the ranks go on")
            process.send_signal(signal.SIGCONT)
            process.communicate(timeout=LIMIT_S)
            self.assertEqual(process.returncode, 7)

    def test_timeout_kills_those_that_ignore_being_asked(self):
        for where in ([], self.hosts("a")):
            done = self.run_it("-n", "2", "--timeout", "0.5", "--grace", "0.5", *where, "sh", "-c",
                               'trap "" TERM; sleep 1000 & wait; sleep 1000')
            self.assertEqual(done.returncode, 124)

    def test_signals_reach_the_ranks_here_and_elsewhere(self):
        script = ("trap 'echo usr; kill $p' USR1; trap 'echo term; kill $p; exit 7' TERM;"
                  " sleep 1000 & p=$!; echo ready; wait; sleep 1000 & p=$!; wait")
        for where in ([], self.hosts("a", "b")):
            with self.subTest(where=where), self.start("-n", "2", *where, "sh", "-c", script) as process:
                for word in ("ready", "usr", "term"):
                    if word != "ready":
                        process.send_signal(signal.SIGUSR1 if word == "usr" else signal.SIGTERM)
                    self.assertEqual(sorted(process.stdout.readline() for _ in range(2)),
                                     [f"[0] {word}\n", f"[1] {word}\n"])
                process.communicate(timeout=LIMIT_S)
                self.assertEqual(process.returncode, 128 + signal.SIGTERM)

    def test_a_job_is_stopped_and_goes_on_as_a_whole(self):
        state = lambda pid: pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        for where in ([], self.hosts("a", "b")):
            with self.subTest(where=where), \
                 self.start("-n", "2", *where, "sh", "-c", "echo $$; exec sleep 1000") as process:
                ranks = self.pids(process, 2)
                process.send_signal(signal.SIGTSTP)
                for pid in (*ranks, process.pid):
                    self.wait_for(lambda p=pid: state(p) == "T", "it is not stopped")
                process.send_signal(signal.SIGCONT)
                for pid in (*ranks, process.pid):
                    self.wait_for(lambda p=pid: state(p) != "T", "it does not go on")
                process.send_signal(signal.SIGQUIT)
                process.communicate(timeout=LIMIT_S)
                self.assertEqual(process.returncode, 128 + signal.SIGQUIT)
                self.assertFalse(any(is_alive(pid) for pid in ranks))

    def test_a_large_code_is_no_signal(self):
        done = self.run_it("-n", "1", "sh", "-c", "exit 255")
        self.assertEqual(done.returncode, 255)
        self.assertIn("returned 255", done.err)

    def test_what_ranks_leave_behind_is_ended(self):
        left = ("", "setsid", "setsid --fork", "setsid --fork setsid --fork")
        for where in ([], self.hosts("a", "b")):
            for command in left:
                with self.subTest(where=where, left=command):
                    done = self.run_it("-n", "2", *where, "sh", "-c", f"{DETACH}\ndetach {command}")
                    self.wait_for(lambda d=done: not any(is_alive(int(line.split()[-1])) for line in d.out.splitlines()),
                                  "what a rank left behind lives on")
                    self.assertEqual(len(done.out.splitlines()), 2)

    def test_orphans_that_end_are_reaped_while_the_job_runs(self):
        with self.start("-n", "1", "sh", "-c", "(true & echo $!); echo ready; exec sleep 1000") as process:
            orphan = self.pids(process, 1)[0]
            process.stdout.readline()
            self.wait_for(lambda: not os.path.exists(f"/proc/{orphan}"), "an orphan stays a zombie")
            process.terminate()
            process.communicate(timeout=LIMIT_S)

    def test_a_killed_run_leaves_nothing(self):
        for where in ([], self.hosts("a", "b")):
            with self.subTest(where=where), self.start("-n", "2", *where, "sh", "-c",
                                                       f"{DETACH}\necho $$; detach setsid --fork; sleep 1000") as process:
                pids = self.pids(process, 4)
                self.assertTrue(all(map(is_alive, pids)))
                process.kill()
                process.wait()
                self.wait_for(lambda p=pids: not any(map(is_alive, p)), "ranks outlive a killed holdfast-run")
                self.wait_for(lambda: os.listdir(self.rendezvous) == [], "its rendezvous directory is left")

    def test_ranks_on_hosts_leave_nothing_when_all_of_holdfast_run_is_killed(self):
        with self.start("-n", "2", *self.hosts("a", "b"), "sh", "-c", "echo $$; exec sleep 1000") as process:
            pids = self.pids(process, 2)
            children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            names = {int(c): pathlib.Path(f"/proc/{c}/comm").read_text().strip() for c in children}
            cleaner = [pid for pid, name in names.items() if name == "holdfast-clean"]
            self.assertEqual(len(cleaner), 1, names)
            os.kill(cleaner[0], signal.SIGKILL)
            process.kill()
            process.wait()
            self.wait_for(lambda: not any(map(is_alive, pids)), "ranks outlive a killed holdfast-run")
            self.wait_for(lambda: os.listdir(self.rendezvous) == [], "its rendezvous directory is left")

    def test_ranks_are_bound_to_nodes_in_turn_on_each_host(self):
        cpus = sorted(os.sched_getaffinity(0))
        if not {0, 1} <= set(cpus):
            self.skipTest("needs processors 0 and 1")
        two_nodes = "HWLOC_SYNTHETIC=numa:2 pu:1"  # node 0 has processor 0, node 1 processor 1
        agent = self.directory / "agent"
        agent.write_text(f'#!/bin/sh\nshift; exec env -i PATH=/usr/bin:/bin "{two_nodes}" sh -c "$*"\n')
        agent.chmod(0o755)
        os.symlink(agent, f"/tmp/holdfast-run-agent.{os.getpid()}")  # no blank in its path
        self.addCleanup(os.unlink, f"/tmp/holdfast-run-agent.{os.getpid()}")
        hosts = ["--hosts", "a,b", "--agent", f"/tmp/holdfast-run-agent.{os.getpid()}"]
        here = dict(os.environ, **dict([two_nodes.split("=", 1)]))
        for where, options, expected in (([], {"env": here}, "010101"), (hosts, {}, "010010"),
                                         ([*hosts, "--place", "round-robin"], {}, "001100")):
            with self.subTest(where=where):
                done = self.run_it("-n", "6", *where, "grep", "Cpus_allowed_list", "/proc/self/status", **options)
                bound = [line.split()[-1] for line in sorted(done.out.splitlines())]
                self.assertEqual(bound, list(expected), done.out + done.err)
                done = self.run_it("-n", "6", "--no-pin", *where, "grep", "Cpus_allowed_list", "/proc/self/status", **options)
                self.assertEqual(len({line.split()[-1] for line in done.out.splitlines()}), 1, done.out)

    def test_the_next_start_removes_what_killed_runs_left(self):
        stale = self.rendezvous / f"holdfast-run.{os.geteuid()}.{os.uname().nodename}.abcdef"
        stale.mkdir()
        (stale / "run.lock").touch()
        other = self.rendezvous / "other"
        other.mkdir()
        with self.start("-n", "1", "sh", "-c", "echo ready; exec sleep 1000") as running:
            running.stdout.readline()
            alive = [name for name in os.listdir(self.rendezvous) if name not in ("other", stale.name)]
            self.assertEqual(len(alive), 1)
            subprocess.run([RUN, "-n", "1", "--rendezvous", str(self.rendezvous), "true"], check=True)
            self.assertEqual(sorted(os.listdir(self.rendezvous)), sorted(["other", *alive]))
            running.terminate()
            running.communicate(timeout=LIMIT_S)
        other.rmdir()

    def test_ranks_on_hosts_meet(self):
        done = self.run_it("-n", "4", *self.hosts("a", "b"), PROBE, "--rounds", "2")
        self.assertEqual(done.returncode, 0, done.err)
        self.assertEqual(done.out.count(" of 4 by rendezvous"), 4, done.out)

    def test_placement_quoting_directory_and_exports(self):
        words = ["printf", "%s|", "a b", "it's", '"$HOME"', "*", "", "back\\slash"]
        script = f'echo $TEST_HOST "$TEST_EXPORT" "$(pwd)"; {shlex.join(words)}'
        for place, expected in (("block", "aabb"), ("round-robin", "abab")):
            done = self.run_it("-n", "4", "--place", place, "-x", "TEST_EXPORT", *self.hosts("a", "b"), "sh", "-c", script,
                               env=dict(os.environ, TEST_EXPORT="it's; exported"))
            lines = sorted(done.out.splitlines())
            for rank, host in enumerate(expected):
                self.assertIn(f"[{rank}] {host} it's; exported {self.directory}", lines)
                self.assertIn(f"[{rank}] " + "".join(w + "|" for w in words[2:]), lines)

    def test_an_unreachable_host_is_named(self):
        # The other rank is asked to end while it still starts, and does not have to be killed after the grace.
        done = self.run_it("-n", "2", "--grace", "1000", *self.hosts("a", "unreachable"), "sleep", "1000")
        self.assertEqual(done.returncode, 255)
        self.assertIn("rank 1 on unreachable", done.err)

    def test_programs_that_cannot_be_started(self):
        plain = self.directory / "plain"
        plain.write_text("text")
        plain.chmod(stat.S_IRUSR)
        for where in ([], self.hosts("a")):
            self.assertEqual(self.run_it("-n", "2", *where, "./no-such-program").returncode, 127)
            self.assertEqual(self.run_it("-n", "2", *where, "./plain").returncode, 126)
        done = self.run_it("-n", "2", "--hosts", "a", "--agent", "no-such-agent", "true")
        self.assertEqual(done.returncode, 127)
        self.assertIn("--agent", done.err)

    def test_wrong_usage_is_refused_before_anything_starts(self):
        for words in (["true"], ["-n", "0", "true"], ["-n", "-3", "true"], ["-n", "x", "true"], ["-n", "1"],
                      ["-n", "99999999999999999999", "true"], ["-n", "1000000", "true"], ["-n", "1", "--nonsense", "true"],
                      ["-n", "1", "--hosts", "-oProxyCommand=x", "true"], ["-n", "1", "--hosts", ",", "true"],
                      ["-n", "1", "--place", "x", "true"], ["-n", "1", "--timeout", "-1", "true"]):
            done = self.run_it(*words)
            self.assertEqual(done.returncode, 2, words)
            self.assertTrue(done.err, words)

    def test_a_misspelt_variable_is_told_once(self):
        done = self.run_it("-n", "3", "true", env=dict(os.environ, HOLDFAST_ARENAS="1"))
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.err.count("did you mean HOLDFAST_ARENA"), 1)

    def test_a_closed_output_ends_the_job(self):
        with self.start("-n", "2", "sh", "-c", "while :; do echo line; done") as process:
            process.stdout.readline()
            process.stdout.close()
            self.assertEqual(process.wait(LIMIT_S), 128 + signal.SIGPIPE)

    def test_output_that_nobody_reads_holds_up_neither_signals_nor_the_timeout(self):
        for kind, options, code in (("pipe", ["--timeout", "3"], 124), ("pipe", [], 128 + signal.SIGTERM),
                                    ("socket", [], 128 + signal.SIGTERM), ("terminal", [], 128 + signal.SIGTERM)):
            reader, writer = self.channel(kind)
            with self.subTest(kind=kind, options=options), \
                 self.start("-n", "1", "--grace", "0.5", *options, "sh", "-c", "echo $$ >pid; exec yes",
                            stdout=writer) as process:
                if not options:
                    self.wait_for(lambda: output_is_full(self.directory / "pid"), "somebody reads")
                    process.terminate()
                said = process.communicate(timeout=LIMIT_S)[1]
                self.assertEqual(process.returncode, code, said)
                lost = re.search(r"(\d+) bytes of output were not read in time and are lost", said)
                self.assertTrue(lost, said)
                self.assertLess(int(lost[1]), 1 << 20, "too much of what nobody reads is kept")

    def test_a_failed_rank_ends_the_others_while_nobody_reads_and_nothing_is_lost(self):
        reader, writer = self.channel()
        open_gate = self.gate()
        script = "[ $HOLDFAST_RANK = 1 ] && { read x <gate; exit 3; }; echo $$ >pid; exec seq 1000000000"
        with self.start("-n", "2", "--grace", "0", "sh", "-c", script, stdout=writer) as process:
            self.wait_for(lambda: is_full(writer), "somebody reads")
            pid = int((self.directory / "pid").read_text())
            open_gate()
            self.wait_for(lambda: not is_alive(pid), "a rank goes on")
            self.assertIsNone(process.poll(), "it does not wait for whoever reads")
            writer.close()
            lines = reader.read().decode().splitlines()
            said = process.communicate(timeout=LIMIT_S)[1]
            self.assertEqual(process.returncode, 3)
            self.assertEqual(said, "holdfast-run: rank 1 returned 3\n")
            self.assertGreater(len(lines), 10000)
            self.assertEqual(lines[:-1], [f"[0] {i}" for i in range(1, len(lines))])  # the last was cut by a signal

    def test_what_a_job_wrote_waits_for_a_late_reader(self):
        reader, writer = self.channel()
        with self.start("-n", "1", "--grace", "0", "sh", "-c", "echo $$ >pid; exec seq 30000", stdout=writer) as process:
            self.wait_for(lambda: is_full(writer), "somebody reads")
            pid = int((self.directory / "pid").read_text())
            self.wait_for(lambda: not is_alive(pid), "the rank waits for a reader, though there is room for its output")
            self.assertIsNone(process.poll(), "it does not wait for whoever reads")
            writer.close()
            self.assertEqual(reader.read().decode().splitlines(), [f"[0] {i}" for i in range(1, 30001)])
            self.assertEqual(process.wait(LIMIT_S), 0)
            self.assertEqual(process.communicate()[1], "")

    def test_an_output_that_nobody_reads_does_not_hold_up_the_other(self):
        reader, writer = self.channel()
        open_gate = self.gate()
        with self.start("-n", "1", "--grace", "0", "sh", "-c", "yes >&2 & read x <gate; seq 100; wait",
                        stderr=writer) as process:
            self.wait_for(lambda: is_full(writer), "somebody reads")
            open_gate()
            self.wait_for(lambda: select.select([process.stdout], [], [], 0)[0], "nothing comes of standard output")
            self.assertEqual([process.stdout.readline() for _ in range(100)], [f"[0] {i}\n" for i in range(1, 101)])
            process.terminate()
            self.assertEqual(process.wait(LIMIT_S), 128 + signal.SIGTERM)

    def test_lines_are_whole_where_both_outputs_go_to_one_pipe(self):
        reader, writer = self.channel()
        open_gate = self.gate()
        size = 100000  # more than the pipe takes at once
        script = f'echo $$ >pid; {{ head -c {size} /dev/zero | tr "\\0" b; echo; }} >&2; read x <gate; echo a'
        with self.start("-n", "1", "sh", "-c", script, stdout=writer, stderr=writer) as process:
            self.wait_for(lambda: is_full(writer), "somebody reads")
            open_gate()
            pid = int((self.directory / "pid").read_text())
            self.wait_for(lambda: not os.path.exists(f"/proc/{pid}"), "the rank's output is not taken")
            writer.close()
            self.assertEqual(reader.read().decode().splitlines(), ["[0] " + size * "b", "[0] a"])
            self.assertEqual(process.wait(LIMIT_S), 0)


if __name__ == "__main__":
    RUN, PROBE = sys.argv[1:3]
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=2)
