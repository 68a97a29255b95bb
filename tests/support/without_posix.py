"""A process in which hubtune sees Python's library as on Windows, without what is only there elsewhere.

    python without_posix.py            imports every module of hubtune
    python without_posix.py ARGUMENTS  runs the command line

Python's own modules and other packages, which have other code on Windows, still see all.
"""

import builtins
import importlib
import os
import pkgutil
import select
import signal
import socket
import sys
import time
from types import ModuleType

MODULES = "fcntl resource pwd grp termios tty pty crypt spwd nis syslog readline curses posix".split()
OS = """
fork forkpty setsid setpgid getpgid getpgrp killpg getsid geteuid getuid getgid getegid getgroups setuid
setgid statvfs fstatvfs sched_getaffinity sched_setaffinity sched_yield sysconf confstr pread pwrite preadv
pwritev
mkfifo mknod sync fdatasync fchown lchown chown chroot getloadavg uname nice getpriority setpriority
posix_fadvise posix_fallocate sendfile wait3 wait4 ctermid register_at_fork fchdir major minor makedev
get_blocking set_blocking WIFSIGNALED WTERMSIG WEXITSTATUS WNOHANG EX_OK openpty
O_DIRECTORY O_NONBLOCK O_NOCTTY O_NOFOLLOW O_CLOEXEC O_SYNC O_DSYNC O_ASYNC O_PATH O_TMPFILE O_ACCMODE
""".split()
SIGNALS = """
SIGHUP SIGQUIT SIGKILL SIGUSR1 SIGUSR2 SIGPIPE SIGALRM SIGCHLD SIGCLD SIGSTOP SIGCONT SIGTSTP SIGTTIN SIGTTOU
SIGXCPU SIGXFSZ SIGWINCH SIGIO SIGBUS SIGPROF SIGVTALRM SIGURG SIGSYS SIGTRAP alarm setitimer getitimer pause
sigwait sigwaitinfo sigtimedwait sigpending pthread_sigmask pthread_kill siginterrupt SIG_BLOCK SIG_UNBLOCK
""".split()
HIDDEN = {
    os: OS,
    signal: SIGNALS,
    socket: "AF_UNIX SO_REUSEPORT SCM_RIGHTS CMSG_LEN AF_PACKET AF_NETLINK send_fds recv_fds".split(),
    select: "poll epoll kqueue PIPE_BUF".split(),
    time: "tzset clock_gettime pthread_getcpuclockid".split(),
}


class Stripped(ModuleType):
    """A module without some of its names."""

    def __init__(self, module, hidden):
        super().__init__(module.__name__)
        vars(self).update(_module=module, _hidden={*hidden})

    def __getattr__(self, name):
        if name in self._hidden:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r} on Windows")
        return getattr(self._module, name)

    def __setattr__(self, name, value):
        setattr(self._module, name, value)


STRIPPED = {module.__name__: Stripped(module, hidden) for module, hidden in HIDDEN.items()}


def hide():
    """Let modules of hubtune import stripped modules, and none of those that Windows lacks."""
    import_module = builtins.__import__

    def import_for(name, globals=None, locals=None, fromlist=(), level=0):
        if (globals or {}).get("__name__", "").partition(".")[0] != "hubtune":
            return import_module(name, globals, locals, fromlist, level)
        if name in MODULES:
            raise ModuleNotFoundError(f"No module named {name!r} on Windows", name=name)
        return STRIPPED.get(name) or import_module(name, globals, locals, fromlist, level)

    builtins.__import__ = import_for


def import_all():
    """Import all modules of hubtune, but those of packages that are not installed; returns how many."""
    import hubtune

    names = [found.name for found in pkgutil.walk_packages(hubtune.__path__, "hubtune.")]
    count = 0
    for name in names:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name.partition(".")[0] in ("hubtune", *MODULES):
                raise
        else:
            count += 1
    return count


if __name__ == "__main__":
    del sys.path[0]  # this folder, which has modules of the names of packages
    hide()
    if len(sys.argv) == 1:
        sys.stdout.write(f"{import_all()}\n")
    else:
        sys.argv[0] = "hubtune"
        from hubtune.cli.main import main

        main()
