/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "loop.h"

#include <errno.h>
#include <time.h>

#include "ways.h"

/* An emulated processor may be stopped for seconds. */
#define SECONDS 30

#define ACCESS (IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_ATOMIC)

static void connect_to(struct ibv_qp *qp, const struct ibv_qp *other, const union ibv_gid *gid)
{
	struct ibv_qp_attr init = { .qp_state = IBV_QPS_INIT,
				    .port_num = 1,
				    .qp_access_flags = ACCESS };
	struct ibv_qp_attr receive = {
		.qp_state = IBV_QPS_RTR,
		.path_mtu = IBV_MTU_4096,
		.dest_qp_num = other->qp_num,
		.max_dest_rd_atomic = 1,
		.min_rnr_timer = 12,
		.ah_attr = { .is_global = 1,
			     .port_num = 1,
			     .grh = { .dgid = *gid, .hop_limit = 1 } },
	};
	struct ibv_qp_attr send = { .qp_state = IBV_QPS_RTS,
				    .timeout = 18,
				    .retry_cnt = 7,
				    .rnr_retry = 7,
				    .max_rd_atomic = 1 };

	if ((errno = ibv_modify_qp(qp, &init,
				   IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT |
					   IBV_QP_ACCESS_FLAGS)))
		fail("ibv_modify_qp INIT");
	if ((errno = ibv_modify_qp(qp, &receive,
				   IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
					   IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC |
					   IBV_QP_MIN_RNR_TIMER)))
		fail("ibv_modify_qp RTR");
	if ((errno = ibv_modify_qp(qp, &send,
				   IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT |
					   IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN |
					   IBV_QP_MAX_QP_RD_ATOMIC)))
		fail("ibv_modify_qp RTS");
}

void loop_open(struct loop *loop)
{
	struct ibv_device **devices = ibv_get_device_list(NULL);
	struct ibv_qp_init_attr attributes = {
		.cap = { .max_send_wr = 4, .max_recv_wr = 4, .max_send_sge = 1, .max_recv_sge = 1 },
		.qp_type = IBV_QPT_RC,
	};
	union ibv_gid gid;

	if (!devices || !devices[0])
		fail("there is no RDMA device");
	loop->context = ibv_open_device(devices[0]);
	if (!loop->context)
		fail("ibv_open_device");
	ibv_free_device_list(devices);
	loop->pd = ibv_alloc_pd(loop->context);
	if (!loop->pd)
		fail("ibv_alloc_pd");
	loop->cq = ibv_create_cq(loop->context, 16, NULL, NULL, 0);
	if (!loop->cq)
		fail("ibv_create_cq");
	attributes.send_cq = attributes.recv_cq = loop->cq;
	for (int i = 0; i < 2; i++) {
		loop->qp[i] = ibv_create_qp(loop->pd, &attributes);
		if (!loop->qp[i])
			fail("ibv_create_qp");
	}
	if (ibv_query_gid(loop->context, 1, 0, &gid))
		fail("ibv_query_gid");
	for (int i = 0; i < 2; i++)
		connect_to(loop->qp[i], loop->qp[!i], &gid);
}

void loop_close_queues(struct loop *loop)
{
	for (int i = 0; i < 2; i++)
		if ((errno = ibv_destroy_qp(loop->qp[i])))
			fail("ibv_destroy_qp");
	if ((errno = ibv_destroy_cq(loop->cq)))
		fail("ibv_destroy_cq");
}

enum ibv_wc_status loop_do(struct loop *loop, enum ibv_wr_opcode opcode, void *local, size_t length,
			   uint32_t lkey, void *remote, uint32_t rkey)
{
	struct ibv_sge sge = { .addr = (uintptr_t)local, .length = length, .lkey = lkey };
	struct ibv_send_wr *bad, request = {
		.sg_list = &sge, .num_sge = 1, .opcode = opcode, .send_flags = IBV_SEND_SIGNALED
	};
	time_t end = time(NULL) + SECONDS;
	struct ibv_wc completion;
	int ret;

	if (opcode == IBV_WR_ATOMIC_FETCH_AND_ADD) {
		request.wr.atomic.remote_addr = (uintptr_t)remote;
		request.wr.atomic.rkey = rkey;
		request.wr.atomic.compare_add = 1;
	} else {
		request.wr.rdma.remote_addr = (uintptr_t)remote;
		request.wr.rdma.rkey = rkey;
	}
	if ((errno = ibv_post_send(loop->qp[0], &request, &bad)))
		fail("ibv_post_send");
	while (!(ret = ibv_poll_cq(loop->cq, 1, &completion)))
		if (time(NULL) > end) {
			errno = ETIMEDOUT;
			fail("no completion");
		}
	if (ret < 0)
		fail("ibv_poll_cq");
	return completion.status;
}
