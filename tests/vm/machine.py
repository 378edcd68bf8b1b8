# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A virtual machine with a Debian kernel and soft-RoCE, for one script.

The kernel is downloaded and unpacked into the build tree, never installed.  The root file
system is the host's, read-only, with what the machine writes in its memory; so it has the
host's programs and libraries and the build tree at their own paths.  Neither root nor
/dev/kvm is needed: the processor is emulated.
"""
import collections
import glob
import gzip
import lzma
import os
import re
import shlex
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '../system'))
import tap  # noqa: E402

QEMU = 'qemu-system-x86_64'
BUSYBOX = '/bin/busybox'
# The image that linux-image-amd64 stands for; what newer ones are made of.
IMAGE = ['?and(?reverse-depends(?exact-name(linux-image-amd64)),?name(^linux-image-))']
PARTS = ['?and(?reverse-depends(%s),?name(^linux-%s-))' % (IMAGE[0], part)
         for part in ('binary', 'modules')]
PACKAGES = {'bookworm': IMAGE, 'bookworm-backports': IMAGE, 'trixie': IMAGE, 'trixie-backports': PARTS}
# {module: its parameters}; those that they depend on are found.
MODULES = {'virtio_pci': '', '9pnet_virtio': '', '9p': '', 'overlay': '', 'crc32_generic': '',
           'rdma_rxe': '', 'ib_uverbs': '', 'rdma_ucm': '', 'dummy': 'numdummies=1'}
NEEDED = {QEMU: 'qemu-system-x86', BUSYBOX: 'busybox-static', 'depmod': 'kmod',
          'rdma': 'iproute2'}
MPIRUN = {'mpirun': 'openmpi-bin'}
LIBRARIES = '/usr/lib/x86_64-linux-gnu'

Job = collections.namedtuple('Job', 'name seconds command')
Result = collections.namedtuple('Result', 'status seconds output')


class Unavailable(Exception):
    """There can be no virtual machine here, and why."""


def missing_programs(needed):
    path = os.environ.get('PATH', '') + ':/usr/sbin:/sbin'
    return [package for program, package in needed.items() if not shutil.which(program, path=path)]


def uncompressed(image):
    """The ELF file inside a kernel image, which boots seconds sooner; or the image."""
    with open(image, 'rb') as file:
        data = file.read()

    def number(at):
        return int.from_bytes(data[at:at + 4], 'little')

    # Documentation/arch/x86/boot.rst: setup_sects, payload_offset, payload_length.
    start = (data[497] + 1) * 512 + number(584)
    payload = data[start:start + number(588)]
    if payload[:4] == b'\x28\xb5\x2f\xfd' and shutil.which('zstd'):
        # What follows the frame is not zstd's, which it says, after it has written all.
        kernel = subprocess.run(['zstd', '-dcq'], input=payload, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, check=False).stdout
    else:
        try:
            kernel = lzma.LZMADecompressor().decompress(payload)
        except lzma.LZMAError:
            return data
    return kernel if kernel[:4] == b'\x7fELF' else data


def archive(files):
    """An initial RAM file system (Documentation/driver-api/early-userspace/buffer-format.rst)
    of {path: (mode, content)}."""
    out = bytearray()
    for inode, (path, (mode, content)) in enumerate([*files.items(), ('TRAILER!!!', (0, b''))], 1):
        name = path.encode() + b'\0'
        fields = [inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0]
        out += b'070701' + b''.join(b'%08x' % field for field in fields) + name
        out += bytes(-len(out) % 4)
        out += content
        out += bytes(-len(out) % 4)
    return gzip.compress(bytes(out), 1)


def module_files(root, version):
    """[(path, parameters)] of MODULES and what they need, in order."""
    environment = dict(os.environ, PATH=os.environ.get('PATH', '') + ':/usr/sbin:/sbin')
    subprocess.run(['depmod', '-b', root, version], check=True, env=environment)
    found = {}
    for module, parameters in MODULES.items():
        # What is no module of this kernel is in it, or is missed by what needs it.
        listed = subprocess.run(['modprobe', '-d', root, '-S', version, '--show-depends', module],
                                check=False, env=environment, capture_output=True, text=True).stdout
        paths = [line.split()[1] for line in listed.splitlines() if line.startswith('insmod ')]
        for path in paths:
            found.setdefault(path, parameters if path == paths[-1] else '')
    return list(found.items())


def init_archive():
    files = {name: (0o040755, b'') for name in ('bin', 'dev', 'proc', 'sys')}
    for path, source in {'init': os.path.join(HERE, 'init.sh'), 'bin/busybox': BUSYBOX}.items():
        with open(source, 'rb') as file:
            files[path] = (0o100755, file.read())
    return archive(files)


def module_archive(root, version):
    files = {'modules': (0o040755, b'')}
    order = ''
    for path, parameters in module_files(root, version):
        name = os.path.basename(path).removesuffix('.xz')
        with (open if path.endswith('.ko') else lzma.open)(path, 'rb') as file:
            files['modules/' + name] = (0o100644, file.read())
        order += '%s %s\n' % (name, parameters)
    files['modules/order'] = (0o100644, order.encode())
    return archive(files)


def results(text):
    """The results of jobs in what guest.sh printed."""
    found = {}
    for match in re.finditer(r'^vm: begin (\S+)\n(.*?)^vm: end \1 (\d+) (\d+)$', text, re.M | re.S):
        name, output, status, seconds = match.groups()
        found[name] = Result(int(status), int(seconds), output)
    return found


def objects(programs, with_mpirun):
    """The files of @programs, and of the shared libraries that they load or may load."""
    folders = ['libibverbs']
    if with_mpirun:
        folders += ['openmpi/lib/openmpi3', 'ucx', 'pmix2/lib/pmix']
        programs = [*programs, shutil.which('mpirun')]
    plugins = [path for folder in folders for path in
               glob.glob('%s/%s/*.so' % (LIBRARIES, folder))]
    listed = subprocess.run(['ldd', *plugins, *programs], capture_output=True, text=True,
                            check=False).stdout
    paths = [*plugins, *programs, *re.findall(r'(/\S+) \(0x', listed)]
    return sorted({os.path.realpath(path) for path in paths})


class Machine:
    """One virtual machine; each run() boots it anew."""

    def __init__(self, folder, suite='bookworm', needed=MPIRUN):
        """With the kernel of Debian's @suite; raises Unavailable."""
        self.needed = {**NEEDED, **needed}
        missing = missing_programs(self.needed)
        if missing:
            raise Unavailable('these packages are missing: ' + ' '.join(missing))
        self.suite = suite
        self.folder = os.path.abspath(folder)
        self.kernel = os.path.join(self.folder, 'vmlinux')
        self.modules = os.path.join(self.folder, 'modules')
        self.initrd = os.path.join(self.folder, 'initrd')
        os.makedirs(self.folder, exist_ok=True)
        self.prepare()

    def prepare(self):
        unpacked = os.path.join(self.folder, 'image')
        root = os.path.join(unpacked, 'root')
        stamp = os.path.join(self.folder, 'version')
        if not os.path.exists(stamp):
            run = subprocess.run([os.path.join(HERE, '../glibc/unpack.sh'), self.suite, unpacked,
                                  *PACKAGES[self.suite]], stdout=subprocess.PIPE, text=True, check=False)
            if run.returncode == 77:
                raise Unavailable(run.stdout.strip())
            if run.returncode:
                sys.exit('the kernel cannot be unpacked')
            if not os.path.exists(os.path.join(root, 'lib')):
                os.symlink('usr/lib', os.path.join(root, 'lib'))
            version = os.listdir(os.path.join(root, 'lib/modules'))[0]
            with open(self.kernel, 'wb') as file:
                file.write(uncompressed(*glob.glob(root + '/boot/vmlinuz-*'),
                                        *glob.glob(root + '/lib/modules/*/vmlinuz')))
            with open(self.modules, 'wb') as file:
                file.write(module_archive(root, version))
            with open(stamp, 'w', encoding='ascii') as file:
                file.write(version)
            shutil.rmtree(unpacked)
        # One archive after the other is one file system to the kernel.
        with open(self.modules, 'rb') as modules, open(self.initrd, 'wb') as file:
            file.write(modules.read() + init_archive())

    def run(self, name, jobs, environment, programs):
        """Boot, run each of @jobs in turn with @environment; {name of the job: Result}.
        @programs are what they start, and what is preloaded.

        What the machine prints stays in NAME.log in the machine's folder."""
        script = os.path.join(self.folder, name + '.sh')
        log = os.path.join(self.folder, name + '.log')
        with open(script, 'w', encoding='utf-8') as file:
            for variable, value in environment.items():
                file.write('export %s=%s\n' % (variable, shlex.quote(value)))
            file.write('. %s\n' % shlex.quote(os.path.join(HERE, 'guest.sh')))
            # Programs open their libraries time and again, each time through the host.
            for path in objects(programs, 'mpirun' in self.needed):
                file.write('keep %s\n' % shlex.quote(path))
            for job in jobs:
                file.write('job %s %d %s\n' % (job.name, job.seconds, shlex.quote(job.command)))
        command = [
            QEMU, '-accel', 'tcg,thread=multi', '-cpu', 'max', '-smp', '2,sockets=1,cores=2', '-m', '1536',
            '-display', 'none', '-no-reboot', '-nodefaults',
            '-kernel', self.kernel, '-initrd', self.initrd,
            '-append', 'console=ttyS0 quiet panic=-1 mitigations=off random.trust_cpu=on '
                       'vm.script=' + script,
            '-serial', 'file:' + os.path.join(self.folder, name + '.console'),
            '-serial', 'file:' + log,
            '-virtfs', 'local,path=/,mount_tag=root,security_model=none,multidevs=remap']
        began = time.monotonic()
        qemu = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                text=True)
        try:
            _, errors = qemu.communicate(timeout=60 + sum(job.seconds + 6 for job in jobs))
        except subprocess.TimeoutExpired:
            qemu.kill()
            _, errors = qemu.communicate()
        tap.diag('%s: %d s in the virtual machine' % (name, time.monotonic() - began))
        with open(log, encoding='utf-8', errors='replace') as file:
            text = file.read()
        if '\nvm: done\n' not in text:
            tap.diag('the virtual machine ended early, see %s\n%s' % (log, errors))
        return results(text)


    def versions(self, packages=('openmpi-bin', 'libucx0', 'libfabric1')):
        """What is tested, in one line."""
        listed = subprocess.run(['dpkg-query', '-W', '-f', '${Package} ${Version}, ', *packages,
                                 'qemu-system-x86'],
                                capture_output=True, text=True, check=False).stdout
        with open(os.path.join(self.folder, 'version'), encoding='ascii') as file:
            return listed + 'Linux ' + file.read()
