"""Runs a module whose workers are not forked, as on macOS: `python -m tests.spawned granian ...`."""

import multiprocessing
import runpy
import sys

if __name__ == '__main__':
    multiprocessing.set_start_method('spawn')
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=False)
