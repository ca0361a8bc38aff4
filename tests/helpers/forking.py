"""Work in a forked child of this process."""

import os
import signal
import traceback


def exit_code_of_child(work, seconds=30):
    """That of a child that does ``work()``: 0 if it returned, 1 if it raised, -14 if it hung."""
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(seconds)
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)  # no exit handlers of the parent
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
