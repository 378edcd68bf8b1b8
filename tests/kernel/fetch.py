# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A Linux tree out of a Debian source package: only files that are needed, unpacked once."""
import fcntl
import glob
import hashlib
import os
import re
import shutil
import subprocess

import described

HERE = os.path.dirname(os.path.realpath(__file__))
SUITE = 'trixie'
PACKAGE = 'linux-source-6.12'
VERSION = described.Version(6, 12, '6.12')
# Its packages are unpacked here, as those of other tests are.
UNPACK = os.path.join(HERE, '../glibc/unpack.sh')
# What tar says when files are not there; anything else, as of a full disk, is trouble.
HARMLESS = re.compile(r': Not found in archive$|: Exiting with failure status due to previous errors$')


class Unavailable(Exception):
    """There is no tree, and why."""


def archive(folder):
    """The packed tree; downloaded the first time."""
    packed = os.path.join(folder, 'package')
    done = subprocess.run([UNPACK, SUITE, packed, PACKAGE], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode == 77:
        raise Unavailable(done.stdout.strip())
    found = glob.glob(os.path.join(packed, 'root/usr/src/linux-source-*.tar.xz'))
    if done.returncode or not found:
        raise Unavailable('%s of %s cannot be unpacked' % (PACKAGE, SUITE))
    # unpack.sh keeps what it downloaded: the same once more.
    shutil.rmtree(os.path.join(packed, 'cache'), ignore_errors=True)
    return found[0]


def tree(folder, paths):
    """A tree with the files @paths of it, those that there are, and its Makefile."""
    os.makedirs(folder, exist_ok=True)
    place = os.path.join(folder, 'tree')
    stamp = os.path.join(folder, 'files')
    wanted = hashlib.sha256('\n'.join(paths).encode()).hexdigest()
    with open(os.path.join(folder, 'lock'), 'w', encoding='ascii') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            with open(stamp, encoding='ascii') as file:
                if file.read() == wanted:
                    return place
        except OSError:
            pass
        packed = archive(folder)
        shutil.rmtree(place, ignore_errors=True)
        os.makedirs(place)
        top = os.path.basename(packed)[:-len('.tar.xz')]
        # It says which of them it has not, after it has unpacked the others.
        done = subprocess.run(['tar', '-xJf', packed, '-C', place, '--strip-components=1',
                               *['%s/%s' % (top, path) for path in ['Makefile', *paths]]],
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False,
                              env={**os.environ, 'LC_ALL': 'C'})
        trouble = [line for line in done.stderr.splitlines() if not HARMLESS.search(line)]
        if done.returncode not in (0, 2) or trouble or not os.path.exists(os.path.join(place, 'Makefile')):
            raise Unavailable('%s cannot be unpacked: %s' % (packed, ''.join(trouble[:1])))
        with open(stamp, 'w', encoding='ascii') as file:
            file.write(wanted)
    return place
