/* cc -o verbs-pingpong verbs-pingpong.c $(pkg-config --cflags --libs mmunotify-verbs) */
/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Messages between two processes over RDMA, to and from buffers out of malloc(), which are
 * resized, freed and allocated anew all the time, as those of any program.
 *
 *     verbs-pingpong                  two processes on this machine
 *     verbs-pingpong -l PORT          waits for the one below
 *     verbs-pingpong HOST PORT
 *     -d DEVICE  -g GID_INDEX  -n ROUNDS
 *
 * Each message gets its region from the cache just before it is posted, and puts it after the
 * completion.  No buffer is ever registered or deregistered by hand, and none is stale:
 * every message is compared.  Prints half the time of a round for each size.  Exit status 77:
 * there is no device.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <infiniband/verbs.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <mmunotify/verbs.h>

#define LARGEST   (1ul << 20)
#define NO_DEVICE 77

static const char *device_name;
static int gid_index, rounds = 200;

static struct ibv_context *context;
static struct ibv_pd *pd;
static struct ibv_cq *cq;
static struct ibv_qp *qp;
static struct mmun_verbs *cache;

/* A message: its buffer, and the region while it is posted. */
struct message {
	char *bytes;
	struct mmun_verbs_registration *region;
};

static void die(const char *what, int error)
{
	fprintf(stderr, "verbs-pingpong: %s%s%s\n", what, error ? ": " : "",
		error ? strerror(error) : "");
	exit(1);
}

/* The device of that name, or the first. */
static struct ibv_device *find_device(struct ibv_device **devices)
{
	int i = 0;

	while (devices && devices[i] && device_name &&
	       strcmp(ibv_get_device_name(devices[i]), device_name))
		i++;
	if (devices && devices[i])
		return devices[i];
	fprintf(stderr,
		"verbs-pingpong: there is no RDMA device%s%s.  Linux makes one of any network "
		"interface:\n    rdma link add rxe0 type rxe netdev eth0\n",
		device_name ? " " : "", device_name ? device_name : "");
	exit(NO_DEVICE);
}

static void open_device(void)
{
	struct ibv_device **devices = ibv_get_device_list(NULL);
	struct ibv_qp_init_attr init = { 0 };
	int ret;

	context = ibv_open_device(find_device(devices));
	if (!context)
		die("the device cannot be opened", errno);
	pd = ibv_alloc_pd(context);
	cq = pd ? ibv_create_cq(context, 4, NULL, NULL, 0) : NULL;
	init.send_cq = init.recv_cq = cq;
	init.cap.max_send_wr = init.cap.max_recv_wr = 2;
	init.cap.max_send_sge = init.cap.max_recv_sge = 1;
	init.qp_type = IBV_QPT_RC;
	qp = cq ? ibv_create_qp(pd, &init) : NULL;
	if (!qp)
		die("no queue pair", errno);
	ret = mmun_verbs_create(pd, NULL, &cache);
	if (ret)
		die("no registration cache", -ret);
	ibv_free_device_list(devices);
}

static void close_device(void)
{
	int ret = mmun_verbs_destroy(cache); /* before its protection domain */

	if (ret)
		die("the cache is in use", -ret);
	if (ibv_destroy_qp(qp) || ibv_destroy_cq(cq) || ibv_dealloc_pd(pd) ||
	    ibv_close_device(context))
		die("the device is in use", errno);
}

/* Both write what the other reads. */
static void exchange(int fd, const void *mine, void *other, size_t length)
{
	if (write(fd, mine, length) != (ssize_t)length ||
	    recv(fd, other, length, MSG_WAITALL) != (ssize_t)length)
		die("the other process is gone", 0);
}

static void connect_queues(int fd)
{
	struct {
		uint32_t qp_num, lid;
		union ibv_gid gid;
	} mine = { 0 }, other;
	struct ibv_port_attr port;
	struct ibv_qp_attr attr = { 0 };

	if (ibv_query_port(context, 1, &port) || port.state != IBV_PORT_ACTIVE)
		die("port 1 is not active", 0);
	if (ibv_query_gid(context, 1, gid_index, &mine.gid))
		die("there is no such gid (-g)", errno);
	mine.qp_num = qp->qp_num;
	mine.lid = port.lid;
	exchange(fd, &mine, &other, sizeof(mine));

	attr.qp_state = IBV_QPS_INIT;
	attr.port_num = 1;
	if (ibv_modify_qp(qp, &attr,
			  IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS))
		die("the queue pair cannot be initialised", errno);
	attr.qp_state = IBV_QPS_RTR;
	attr.path_mtu = port.active_mtu;
	attr.dest_qp_num = other.qp_num;
	attr.max_dest_rd_atomic = 1;
	attr.min_rnr_timer = 12;
	attr.ah_attr.dlid = (uint16_t)other.lid;
	attr.ah_attr.port_num = 1;
	attr.ah_attr.is_global = port.link_layer == IBV_LINK_LAYER_ETHERNET;
	attr.ah_attr.grh.dgid = other.gid;
	attr.ah_attr.grh.sgid_index = (uint8_t)gid_index;
	attr.ah_attr.grh.hop_limit = 64;
	if (ibv_modify_qp(qp, &attr,
			  IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
				  IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER))
		die("the queue pair cannot be connected", errno);
	attr.qp_state = IBV_QPS_RTS;
	attr.timeout = 18;
	attr.retry_cnt = 7;
	attr.rnr_retry = 7;
	attr.max_rd_atomic = 1;
	if (ibv_modify_qp(qp, &attr,
			  IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
				  IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC))
		die("the queue pair cannot be connected", errno);
}

static void post(struct message *message, size_t length, int is_receive)
{
	struct ibv_sge sge = { .addr = (uintptr_t)message->bytes, .length = (uint32_t)length };
	struct ibv_recv_wr receive = { .wr_id = (uintptr_t)message, .sg_list = &sge, .num_sge = 1 };
	struct ibv_send_wr send = { .wr_id = (uintptr_t)message,
				    .sg_list = &sge,
				    .num_sge = 1,
				    .opcode = IBV_WR_SEND,
				    .send_flags = IBV_SEND_SIGNALED };
	struct ibv_recv_wr *bad_receive;
	struct ibv_send_wr *bad_send;
	int ret;

	message->region = mmun_verbs_get(cache, message->bytes, length,
					 is_receive ? MMUN_RCACHE_WRITE : MMUN_RCACHE_READ);
	if (mmun_is_err(message->region))
		die("no memory region", -mmun_ptr_err(message->region));
	sge.lkey = message->region->lkey;
	ret = is_receive ? ibv_post_recv(qp, &receive, &bad_receive)
			 : ibv_post_send(qp, &send, &bad_send);
	if (ret)
		die("nothing can be posted", ret);
}

/* Waits for completions until @message's has come. */
static void wait_for(struct message *message)
{
	struct ibv_wc completion;
	struct message *done;
	int n;

	while (message->region) {
		n = ibv_poll_cq(cq, 1, &completion);
		if (n < 0 || (n && completion.status))
			die(n < 0 ? "no completions" : ibv_wc_status_str(completion.status), 0);
		if (!n)
			continue;
		done = (struct message *)(uintptr_t)completion.wr_id;
		mmun_verbs_put(cache, done->region);
		done->region = NULL;
	}
}

static void resize(struct message *message, size_t length)
{
	message->bytes = realloc(message->bytes, length);
	if (!message->bytes)
		die("no memory", 0);
}

static long now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000L + now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	return (*(const long *)a > *(const long *)b) - (*(const long *)a < *(const long *)b);
}

/* Returns the median of the rounds in ns. */
static long play(int fd, size_t length, int begins, long *times)
{
	struct message out = { 0 }, in = { 0 };
	char ready = 1;
	int i;

	resize(&in, length);
	post(&in, length, 1);
	exchange(fd, &ready, &ready, 1);
	for (i = 0; i < rounds; i++) {
		long began = now_ns();

		resize(&out, length);
		if (!begins)
			wait_for(&in);
		memset(out.bytes, i, length);
		if (begins) {
			post(&out, length, 0);
			wait_for(&in);
		}
		if (in.bytes[0] != (char)i || memcmp(in.bytes, in.bytes + 1, length - 1))
			die("a message is wrong", 0);
		/* Where larger buffers lie, this unmaps; the next lie where they lay. */
		free(in.bytes);
		in.bytes = NULL;
		resize(&in, length);
		if (i + 1 < rounds)
			post(&in, length, 1);
		if (!begins)
			post(&out, length, 0);
		wait_for(&out);
		free(out.bytes);
		out.bytes = NULL;
		times[i] = now_ns() - began;
	}
	free(in.bytes);
	qsort(times, rounds, sizeof(*times), compare);
	return times[rounds / 2];
}

static void run(int fd, int begins)
{
	struct mmun_rcache_stats stats;
	long *times = calloc(rounds, sizeof(*times));
	size_t length;

	if (!times)
		die("no memory", 0);
	open_device();
	connect_queues(fd);
	if (begins)
		printf("%10s %14s\n", "bytes", "latency in us");
	for (length = 64; length <= LARGEST; length *= 4) {
		long median = play(fd, length, begins, times);

		if (begins)
			printf("%10zu %14.1f\n", length, (double)median / 2000);
		fflush(stdout);
	}
	mmun_rcache_stats(mmun_verbs_rcache(cache), &stats);
	if (begins)
		printf("%lu hits, %lu misses, %lu regions ended by changes of memory\n", stats.hits,
		       stats.misses, stats.invalidations);
	close_device();
	free(times);
}

/* A connection with the other machine; waits for it where @host is NULL. */
static int meet(const char *host, const char *port)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *addresses, *a;
	int fd = -1, one = 1, ret, accepted;

	hints.ai_flags = host ? 0 : AI_PASSIVE;
	ret = getaddrinfo(host, port, &hints, &addresses);
	if (ret)
		die(gai_strerror(ret), 0);
	for (a = addresses; a && fd < 0; a = a->ai_next) {
		fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
		if (fd < 0)
			continue;
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		if (host ? connect(fd, a->ai_addr, a->ai_addrlen)
			 : bind(fd, a->ai_addr, a->ai_addrlen) || listen(fd, 1)) {
			close(fd);
			fd = -1;
		}
	}
	if (fd < 0)
		die(host ? "no connection" : "the port cannot be had", errno);
	freeaddrinfo(addresses);
	if (host)
		return fd;
	accepted = accept(fd, NULL, NULL);
	if (accepted < 0)
		die("no connection", errno);
	close(fd);
	return accepted;
}

/* Before the device is opened: what a child inherits of an open one is of no use to it. */
static int play_alone(void)
{
	int fds[2], status;
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
		die("socketpair", errno);
	child = fork();
	if (child < 0)
		die("fork", errno);
	close(fds[!child]);
	run(fds[!!child], child != 0);
	if (!child)
		return 0;
	return waitpid(child, &status, 0) != child || status ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct ibv_device **devices;
	const char *port = NULL;
	int option;

	while ((option = getopt(argc, argv, "d:g:l:n:")) != -1) {
		if (option == 'd')
			device_name = optarg;
		else if (option == 'g')
			gid_index = atoi(optarg);
		else if (option == 'l')
			port = optarg;
		else if (option == 'n')
			rounds = atoi(optarg);
		else
			return 2;
	}
	if (rounds < 1)
		die("rounds (-n) must be 1 or more", 0);
	devices = ibv_get_device_list(NULL);
	find_device(devices);
	ibv_free_device_list(devices);
	if (port)
		run(meet(NULL, port), 0);
	else if (argc - optind == 2)
		run(meet(argv[optind], argv[optind + 1]), 1);
	else if (argc == optind)
		return play_alone();
	else
		die("wanted: nothing, -l PORT, or HOST PORT", 0);
	return 0;
}
