"""The keeper: a small process of its own session, the parent of one PostgreSQL server.

It starts the server, starts it again when it dies, and stops it when the last user is gone, which it learns
from the kernel: users hold a shared lock on one file, the keeper waits for the exclusive one. So a user may
end in any way, kill -9 included, and nothing stays behind. Should the keeper itself be killed, the kernel tells the
server to stop (where the system can do that), and whoever still uses it starts another keeper.

Run as a program with one JSON object on standard input (see `Orders`); it answers with one JSON object on
standard output once the server process exists, and goes on alone. It imports nothing of ours and little of
the standard library, because it stays in memory as long as the runtime does.
"""

from __future__ import annotations

import _thread
import fcntl
import json
import os
import select
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypedDict

    class Orders(TypedDict):
        """What the starter wants: paths are absolute, `uid` is None where the user stays the same."""

        command: list[str]
        environment: dict[str, str]
        root: str
        data: str
        run: str
        log: str
        state: str
        users_lock: str
        keeper_lock: str
        uid: int | None
        gid: int | None


_PR_SET_PDEATHSIG = 1
_STOP_FAST_S = 20.0
_STOP_AT_ONCE_S = 5.0
_LOOK_AGAIN_S = 0.01
_SHORT_LIFE_S = 5.0
_LONGEST_PAUSE_S = 5.0
_LOG_MAX_BYTES = 10 * 1024 * 1024


def say(text: str) -> None:
    """One line to the server's log, with the time in UTC."""
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    os.write(2, f"{stamp} UTC [keeper {os.getpid()}] {text}\n".encode())


def spawn(orders: Orders) -> int:
    """Start the server and return its pid. The kernel is asked to stop it should the keeper die."""
    keeper = os.getpid()
    prctl = _prctl()
    pid = os.fork()
    if pid:
        return pid
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        os.chdir(orders["data"])
        if orders["uid"] is not None and orders["gid"] is not None:
            os.setgroups([])
            os.setgid(orders["gid"])
            os.setuid(orders["uid"])
        _stop_with_parent(prctl)
        if os.getppid() != keeper:
            os._exit(1)
        os.umask(0o077)
        os.execve(orders["command"][0], orders["command"], orders["environment"])
    except BaseException as error:
        say(f"cannot start {orders['command'][0]}: {error}")
    finally:
        os._exit(127)


def _prctl() -> Callable[..., int] | None:
    """The call behind `_stop_with_parent`, got before the user is changed: the new one may be unable to read Python."""
    if sys.platform != "linux":
        return None
    import ctypes

    return ctypes.CDLL(None).prctl


def _stop_with_parent(prctl: Callable[..., int] | None) -> None:
    """Linux: fast shutdown (SIGINT) of this process when its parent dies. After the user was changed, or it is lost."""
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGINT), 0, 0, 0)


def processes_in(folder: str) -> list[int]:
    """The processes whose working directory is `folder`: what a dead server left behind (Linux; empty elsewhere)."""
    try:
        wanted = os.stat(folder)
        names = os.listdir("/proc")
    except OSError:
        return []
    found: list[int] = []
    for name in names:
        if not name.isdigit():
            continue
        try:
            facts = os.stat(f"/proc/{name}/cwd")
            program = os.readlink(f"/proc/{name}/exe")
        except OSError:
            continue
        same = (facts.st_dev, facts.st_ino) == (wanted.st_dev, wanted.st_ino)
        if same and os.path.basename(program).startswith("postgres"):
            found.append(int(name))
    return found


def leader_of(folder: str) -> int | None:
    """The pid that the data directory's `postmaster.pid` names; None where there is none."""
    try:
        with open(os.path.join(folder, "postmaster.pid")) as file:
            return int(file.readline())
    except (OSError, ValueError):
        return None


def clear_remains(orders: Orders) -> None:
    """Stop a server that lost its keeper, end orphans of a dead one, take away its stale files."""
    data = orders["data"]
    leader = leader_of(data)
    if leader is None:  # a server that ended well takes its pid file along, and has no children left
        _unlink_sockets(orders["run"])
        return
    if leader in processes_in(data):
        say(f"stopping the server that an earlier crash left (pid {leader})")
        for number, patience in ((signal.SIGINT, _STOP_FAST_S), (signal.SIGQUIT, _STOP_AT_ONCE_S)):
            _signal(leader, number)
            if _wait_until_gone(data, patience):
                break
    for pid in processes_in(data):
        _signal(pid, signal.SIGKILL)
    _wait_until_gone(data, _STOP_AT_ONCE_S)
    _unlink(os.path.join(data, "postmaster.pid"))
    _unlink_sockets(orders["run"])


def _unlink_sockets(run: str) -> None:
    for name in (".s.PGSQL.5432", ".s.PGSQL.5432.lock"):
        _unlink(os.path.join(run, name))


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        return


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _wait_until_gone(data: str, patience: float) -> bool:
    end = time.monotonic() + patience
    while processes_in(data):
        if time.monotonic() > end:
            return False
        time.sleep(_LOOK_AGAIN_S)
    return True


class Keeper:
    """Holds one server up until nobody uses it."""

    def __init__(self, orders: Orders) -> None:
        self.orders = orders
        self.server = 0  # its pid; 0 where it is dead and reaped
        self.last_ending = ""
        self.was_killed = False
        self.generation = 0
        self.started = 0.0
        self.short_lives = 0
        self.alone = False
        self.read_end, self.write_end = os.pipe()
        os.set_blocking(self.write_end, False)

    def prepare(self) -> None:
        """Hear of dead children through the pipe that the main loop reads; be deaf to requests to stop.

        A service manager that stops a service sends SIGTERM to all its processes: the users then still need the
        server to end in good order, and the keeper goes when they have gone.
        """
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(self.write_end, warn_on_full_buffer=False)

    def start(self) -> None:
        """Start the server and write down which it is."""
        self.server = spawn(self.orders)
        self.started = time.monotonic()
        self.generation += 1
        text = json.dumps(
            {
                "root": self.orders["root"],
                "run": self.orders["run"],
                "keeper": os.getpid(),
                "server": self.server,
                "generation": self.generation,
                "short_lives": self.short_lives,
                "last_ending": self.last_ending,
            }
        )
        scratch = self.orders["state"] + ".new"
        with open(scratch, "w") as file:
            file.write(text + "\n")
        os.replace(scratch, self.orders["state"])

    def watch_users(self) -> None:
        """In a thread: block until nobody else holds the users' lock, then wake the main loop."""
        descriptor = os.open(self.orders["users_lock"], os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        self.alone = True
        os.write(self.write_end, b"u")

    def run(self) -> None:
        """Keep the server alive until there is nobody left."""
        while not self.alone:
            os.read(self.read_end, 512)
            if self.dead() and not self.alone:
                say(f"the server ended ({self.last_ending}); starting it again")
                self.pause_if_it_keeps_dying()
                if not self.alone:
                    clear_remains(self.orders)
                    self.start()
        say("nobody uses the server any more")
        self.stop()

    def dead(self) -> bool:
        """Whether the server has ended; reaps it."""
        if self.server == 0:
            return True
        pid, status = os.waitpid(self.server, os.WNOHANG)
        if pid == 0:
            return False
        self.server = 0
        self.last_ending = ending(status)
        self.was_killed = os.WIFSIGNALED(status)
        return True

    def pause_if_it_keeps_dying(self) -> None:
        """A server that gives up as it starts is started less and less often, yet never given up while it has users.

        One that was killed is back at once, however often that happens.
        """
        if self.was_killed or time.monotonic() - self.started > _SHORT_LIFE_S:
            self.short_lives = 0
            return
        self.short_lives += 1
        if self.short_lives > 1:
            select.select([self.read_end], [], [], min(_LONGEST_PAUSE_S, 0.05 * 2**self.short_lives))

    def stop(self) -> None:
        """Fast shutdown; harder where that takes too long."""
        for number, patience in (
            (signal.SIGINT, _STOP_FAST_S),
            (signal.SIGQUIT, _STOP_AT_ONCE_S),
            (signal.SIGKILL, 1.0),
        ):
            if not self.dead():
                _signal(self.server, number)
            end = time.monotonic() + patience
            while time.monotonic() < end:
                if self.dead():
                    self.tidy()
                    return
                time.sleep(_LOOK_AGAIN_S)

    def tidy(self) -> None:
        """Take away what says that a server runs."""
        clear_remains(self.orders)
        for remove, path in ((os.unlink, self.orders["state"]), (os.rmdir, self.orders["run"])):
            try:
                remove(path)
            except OSError:
                continue


def ending(status: int) -> str:
    """A wait status in words."""
    if os.WIFSIGNALED(status):
        return f"signal {os.WTERMSIG(status)}"
    return f"exit status {os.WEXITSTATUS(status)}"


def open_log(path: str) -> None:
    """Send our and the server's output to the log; one older log is kept when it has grown large."""
    try:
        if os.stat(path).st_size > _LOG_MAX_BYTES:
            os.replace(path, path + ".1")
    except FileNotFoundError:
        pass
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 2)
    os.close(log)


def main() -> None:
    """Read the orders, become a process of nobody's, serve."""
    orders: Orders = json.load(sys.stdin)
    if os.fork():
        os._exit(0)
    open_log(orders["log"])
    lock = os.open(orders["keeper_lock"], os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _answer({"error": "another keeper holds this home"})
        return
    os.chdir("/")
    keeper = Keeper(orders)
    clear_remains(orders)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    answer_to = os.dup(1)
    os.set_inheritable(answer_to, False)
    os.dup2(2, 1)
    keeper.prepare()
    keeper.start()
    _answer({"keeper": os.getpid(), "server": keeper.server}, answer_to)
    os.close(answer_to)
    _thread.start_new_thread(keeper.watch_users, ())
    keeper.run()


def _answer(value: dict[str, object], to: int = 1) -> None:
    os.write(to, (json.dumps(value) + "\n").encode())


if __name__ == "__main__":
    main()
