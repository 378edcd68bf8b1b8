# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""How Open MPI is started over soft-RoCE, through UCX and through libfabric.

Thresholds are set so that each library sends messages of 4 KiB and more from where they
lie, through its registration cache; by default smaller ones are copied and need none.
Times are set for an emulated processor.
"""
import re

# mpirun's options for each.
STACKS = {
    'pml ucx': '--mca pml ucx --mca pml_ucx_tls any --mca pml_ucx_devices any',
    'mtl ofi': '--mca pml cm --mca mtl ofi --mca mtl_ofi_provider_include "verbs;ofi_rxm"',
}

# Whom the stack's registrations are.
USERS = {'pml ucx': 'ucx', 'mtl ofi': 'libfabric'}
# Open MPI's own patches of the C library left out, which feed both libraries.
NO_PATCHER = 'OMPI_MCA_memory=^patcher'
# Adapters that hand nothing on.
SILENT = 'MMUNOTIFY_UCX=silent MMUNOTIFY_FI=silent'

ENVIRONMENT = {
    # The index 1 stands for an address that packets do not come to.
    'UCX_IB_GID_INDEX': '0',
    'UCX_NET_DEVICES': 'rxe0:1',
    'UCX_TLS': 'rc_v,self',
    'UCX_UD_TIMEOUT': '10m',
    'UCX_RC_TIMEOUT': '1s',
    'UCX_RNDV_THRESH': '2k',
    'UCX_ZCOPY_THRESH': '2k',
    # Newer releases would estimate that copying is faster on this device.
    'UCX_RNDV_SCHEME': 'get_zcopy',
    'FI_UNIVERSE_SIZE': '16',
    'FI_OFI_RXM_BUFFER_SIZE': '2048',
    'FI_OFI_RXM_SAR_LIMIT': '0',
    'OMPI_ALLOW_RUN_AS_ROOT': '1',
    'OMPI_ALLOW_RUN_AS_ROOT_CONFIRM': '1',
    # One rank on each processor.
    'OMPI_MCA_hwloc_base_binding_policy': 'core',
    # One machine; nothing but what is sent through is loaded.
    'OMPI_MCA_plm': 'isolated',
    'OMPI_MCA_btl': 'self',
    'OMPI_MCA_coll': 'basic,libnbc',
    'OMPI_MCA_osc': 'rdma',
}


def is_connected(stack, output, with_changes=True):
    """Does the last line of mmunotify run say so of both ranks, with what they counted?
    @with_changes: of memory with registrations."""
    said = re.findall(r'^mmunotify run: (.* sections, .*)$', output, re.M)
    if len(said) != 1 or 'stood aside' in said[0]:
        return False
    connected = re.search(r'\b%s (?:connected )?in 2 process' % USERS[stack], said[0])
    counted = re.search(r'\b(\d+) sections, (\d+) invalidations', said[0])
    return bool(connected and counted and int(counted.group(1)) and
                (int(counted.group(2)) or not with_changes))
