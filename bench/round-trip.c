// SPDX-License-Identifier: Apache-2.0
/*
 * Round trips of ICMP echo requests, one after the other, each timed: `round-trip ADDRESS COUNT` prints the nanoseconds, one a line.
 * The other end's kernel answers in softirq, so nothing of it waits for a scheduler.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define PAYLOAD 56

static long long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static unsigned short checksum(const void *data, size_t size)
{
	const unsigned short *word = data;
	unsigned int sum = 0;

	for (; size > 1; size -= 2)
		sum += *word++;
	sum = (sum & 0xffff) + (sum >> 16);
	return ~(sum + (sum >> 16));
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	struct timeval patience = { .tv_sec = 1 };
	struct {
		struct icmphdr header;
		char data[PAYLOAD];
	} request = { .header.type = ICMP_ECHO };
	unsigned char reply[256];
	long count, i, lost = 0;
	int s;

	if (argc != 3 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1 || (count = atol(argv[2])) < 1) {
		fprintf(stderr, "usage: round-trip ADDRESS COUNT\n");
		return 2;
	}
	s = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
	if (s < 0 || connect(s, (struct sockaddr *)&to, sizeof(to)) ||
	    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience))) {
		perror("socket");
		return 1;
	}
	request.header.un.echo.id = htons(getpid() & 0xffff);
	for (i = 0; i < count; i++) {
		long long start, end = 0;

		request.header.un.echo.sequence = htons(i & 0xffff);
		request.header.checksum = 0;
		request.header.checksum = checksum(&request, sizeof(request));
		start = now();
		if (send(s, &request, sizeof(request), 0) != sizeof(request)) {
			perror("send");
			return 1;
		}
		for (;;) {
			ssize_t n = recv(s, reply, sizeof(reply), 0);
			struct icmphdr *answer = (struct icmphdr *)(reply + 4 * (reply[0] & 0xf));

			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0)
				break;
			end = now();
			if (answer->type == ICMP_ECHOREPLY && answer->un.echo.id == request.header.un.echo.id &&
			    answer->un.echo.sequence == request.header.un.echo.sequence)
				break;
			end = 0;
		}
		if (!end) {
			if (++lost > 3) {
				fprintf(stderr, "%ld answers are missing\n", lost);
				return 1;
			}
			continue;
		}
		printf("%lld\n", end - start);
	}
	return 0;
}
