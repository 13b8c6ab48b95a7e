"""The real program in a process of its own, and its replicas as processes below it."""

import json
import os
import re
import signal
import subprocess
import threading
import time
import urllib.request

# Long enough for a slow machine; whoever waits goes on as soon as it can.
DEADLINE_S = 20


def wait_for(what, condition):
    """Waits until `condition` gives something true, and gives that back."""
    end = time.monotonic() + DEADLINE_S
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"waited {DEADLINE_S} s in vain for {what}")
        time.sleep(0.02)


class Program:
    """A running balancer with replicas that are mostly processes; ended when the block is left."""

    def __init__(self, binary, *flags, port=0, token=None, replicas=3, launcher="process"):
        self.token = token
        self.log = []
        command = [binary, "--listen", f"127.0.0.1:{port}", "--launcher", launcher, *flags]
        if launcher == "process":
            command += ["--replicas", str(replicas)]
        # None of the settings that the environment of the tests may hold.
        env = {name: value for name, value in os.environ.items() if not name.startswith("RINGMASTER_")}
        env.pop("RUST_LOG", None)
        # Group of its own, so that an interrupt at the terminal ends the tests, and they end it.
        self.process = subprocess.Popen(
            command, env=env, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        self.reader = threading.Thread(target=self._read_log, daemon=True)
        self.reader.start()
        self.port = port
        try:
            self.port = wait_for("the balancer to say where it listens", self._port)
            wait_for(f"{replicas} replicas to serve", lambda: self.serving() == replicas)
        except BaseException:
            self.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _read_log(self):
        for line in self.process.stderr:
            self.log.append(line.rstrip("\n"))

    def _port(self):
        if self.process.poll() is not None:
            raise AssertionError("the balancer did not start: " + " | ".join(self.log[-5:]))
        for line in list(self.log):
            found = re.search(r"listening on 127\.0\.0\.1:(\d+)", line)
            if found:
                return int(found.group(1))
        return None

    @property
    def origin(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def page(self):
        return f"{self.origin}/_ringmaster/"

    def status(self):
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        request = urllib.request.Request(f"{self.page}status", headers=headers)
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.load(answer)["message"]

    def add(self, *names):
        body = json.dumps({"n": len(names), "hostnames": names}).encode()
        request = urllib.request.Request(f"{self.origin}/add", body, {"Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=DEADLINE_S).read()

    def serving(self):
        try:
            return self.status()["serving"]
        except OSError:
            return 0

    def names(self):
        return [replica["name"] for replica in self.status()["replicas"]]

    def replica(self, name):
        """The process of a replica, found below our own balancer and nowhere else; None while there is none."""
        for pid in children_of(self.process.pid):
            if name in arguments_of(pid):
                return pid
        return None

    def signal_replica(self, name, which):
        pid = wait_for(f"a process of {name}", lambda: self.replica(name))
        os.kill(pid, which)
        return pid

    def stop(self):
        """Ends it the orderly way, and by force when that takes too long."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.reader.join(5)


def children_of(parent):
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            state = stat_of(entry)
            if state and int(state[1]) == parent and state[0] not in "ZX":
                found.append(int(entry))
    return found


def stat_of(pid):
    """State and parent of a process, and what else its stat line holds behind its name; None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            # The name in brackets may hold anything.
            return stat.read().rpartition(")")[2].split()
    except OSError:
        return None


def arguments_of(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as line:
            return line.read().decode(errors="replace").split("\0")
    except OSError:
        return []


class Load:
    """A few hundred requests with various paths over some seconds; ends by itself."""

    def __init__(self, origin, requests=400, per_second=80):
        self.thread = threading.Thread(target=self._run, args=(origin, requests, per_second), daemon=True)
        self.thread.start()

    @staticmethod
    def _run(origin, requests, per_second):
        for i in range(requests):
            path = "/home" if i % 10 else f"/no-such-page/{i}"
            try:
                urllib.request.urlopen(f"{origin}{path}?n={i}", timeout=5).read()
            except OSError:
                # A 400 for a path that no replica has is part of the load.
                pass
            time.sleep(1 / per_second)

    def wait(self):
        self.thread.join(DEADLINE_S * 3)
