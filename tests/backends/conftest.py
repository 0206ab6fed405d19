"""Disks that can be full."""

import os
import subprocess

import pytest


@pytest.fixture
def small_disk(tmp_path):
    disk = tmp_path / 'disk'
    disk.mkdir()
    command = ['mount', '-t', 'tmpfs', '-o', 'size=1m,mode=0700', 'tmpfs', str(disk)]
    if os.getuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode != 0:  # noqa: S603
        pytest.skip('no file system can be mounted here')
    yield disk
    subprocess.run(['umount', '-l', str(disk)], check=True)  # noqa: S603, S607
