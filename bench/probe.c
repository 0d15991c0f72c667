// SPDX-License-Identifier: Apache-2.0
/*
 * A guest that keeps talking to one endpoint, and a look at the wire: which node does each packet go to, how long does it take, which
 * do not come? `probe SEND-DEVICE WIRE-DEVICE MICROSECONDS` sends a packet every so often. Lines on standard input:
 *
 *     frame HEX                  the frame to send; its last 16 bytes become sequence number and time
 *     await NODE                 answers `seen NANOSECONDS` (CLOCK_MONOTONIC) when the first of its packets comes that goes to the
 *                                node whose outer address ends in this byte
 *     pause, resume              sending
 *     report                     answers `report SENT RECEIVED` and the delays in nanoseconds since the last one, and begins anew
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define OUTER 50	/* VXLAN over IPv4 */
#define NODE_AT 33	/* last byte of the outer destination */
#define MAC_SIZE 6
#define LARGEST 2048
#define MOST_DELAYS 4000000

struct stamp {
	unsigned long long sequence;
	long long time;
};

static unsigned char frame[LARGEST];
static size_t frame_size;
static int awaited = -1, paused;
static unsigned long long sequence, epoch, received;
static unsigned int *delays;

static long long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int packet_socket(const char *device, int protocol)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(protocol) };
	int size = 4 << 20, s = socket(AF_PACKET, SOCK_RAW, htons(protocol));

	at.sll_ifindex = if_nametoindex(device);
	if (s < 0 || !at.sll_ifindex || bind(s, (struct sockaddr *)&at, sizeof(at))) {
		perror(device);
		exit(1);
	}
	setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	return s;
}

static void send_one(int s)
{
	struct stamp stamp = { .sequence = sequence++, .time = now() };

	memcpy(frame + frame_size - sizeof(stamp), &stamp, sizeof(stamp));
	if (send(s, frame, frame_size, 0) < 0 && errno != ENOBUFS) {
		perror("send");
		exit(1);
	}
}

static void receive_all(int s)
{
	unsigned char got[LARGEST];
	struct stamp stamp;
	ssize_t n;

	while ((n = recv(s, got, sizeof(got), MSG_DONTWAIT)) > 0) {
		long long time = now();

		if ((size_t)n != frame_size + OUTER || memcmp(got + OUTER, frame, MAC_SIZE))
			continue;
		memcpy(&stamp, got + n - sizeof(stamp), sizeof(stamp));
		if (stamp.sequence < epoch)
			continue;
		if (received < MOST_DELAYS)
			delays[received] = time - stamp.time;
		received++;
		if (got[NODE_AT] == awaited) {
			printf("seen %lld\n", time);
			fflush(stdout);
			awaited = -1;
		}
	}
}

static void report(void)
{
	unsigned long long i;

	printf("report %llu %llu", sequence - epoch, received);
	for (i = 0; i < received && i < MOST_DELAYS; i++)
		printf(" %u", delays[i]);
	printf("\n");
	fflush(stdout);
	epoch = sequence;
	received = 0;
}

static void obey(char *line)
{
	if (!strncmp(line, "frame ", 6)) {
		char *hex = line + 6;

		for (frame_size = 0; frame_size < LARGEST && sscanf(hex, "%2hhx", &frame[frame_size]) == 1; hex += 2)
			frame_size++;
	} else if (!strncmp(line, "await ", 6)) {
		awaited = atoi(line + 6);
	} else if (!strcmp(line, "pause") || !strcmp(line, "resume")) {
		paused = line[0] == 'p';
	} else if (!strcmp(line, "report")) {
		report();
	}
}

int main(int argc, char **argv)
{
	static char line[2 * LARGEST + 16];
	size_t filled = 0;
	long long next = now(), gap;
	struct pollfd fds[2];
	int out;

	if (argc != 4 || (gap = atoll(argv[3]) * 1000) <= 0) {
		fprintf(stderr, "usage: probe SEND-DEVICE WIRE-DEVICE MICROSECONDS\n");
		return 2;
	}
	delays = malloc(MOST_DELAYS * sizeof(*delays));
	out = packet_socket(argv[1], 0);
	fds[0] = (struct pollfd){ .fd = 0, .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = packet_socket(argv[2], ETH_P_IP), .events = POLLIN };
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		long long wait = next - now();
		struct timespec timeout = { 0, wait > 0 ? wait : 0 };

		if (ppoll(fds, 2, &timeout, NULL) < 0 && errno != EINTR)
			return 1;
		if (fds[1].revents)
			receive_all(fds[1].fd);
		if (now() >= next) {
			if (frame_size && !paused)
				send_one(out);
			next += gap;
			/* a machine that slept does not catch up in a burst */
			if (next < now())
				next = now() + gap;
		}
		if (fds[0].revents) {
			ssize_t n = read(0, line + filled, sizeof(line) - 1 - filled);
			char *end;

			if (n <= 0)
				return 0;
			filled += n;
			line[filled] = 0;
			while ((end = strchr(line, '\n'))) {
				*end = 0;
				obey(line);
				filled -= end + 1 - line;
				memmove(line, end + 1, filled + 1);
			}
		}
	}
}
