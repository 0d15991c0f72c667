/*
 * A stream of numbered datagrams.
 *
 *   stream send ADDRESS PORT RATE COUNT	COUNT datagrams, RATE a second, fewer on SIGTERM; each holds its number
 *   stream receive PORT			prints "ready"; on SIGTERM "NUMBER NANOSECONDS" of each that came, as the kernel took it
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_COUNT (1 << 20)

static volatile sig_atomic_t over;

static void end(int signal)
{
	(void)signal;
	over = 1;
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void send_all(const char *address, int port, long rate, long count)
{
	struct sockaddr_in6 to6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in to4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	int six = !!strchr(address, ':');
	struct sockaddr *to = six ? (struct sockaddr *)&to6 : (struct sockaddr *)&to4;
	socklen_t size = six ? sizeof(to6) : sizeof(to4);
	int fd = socket(six ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
	struct sigaction action = { .sa_handler = end };
	struct timespec next;
	long i, lost = 0;

	if (fd < 0)
		fail("socket");
	if (inet_pton(six ? AF_INET6 : AF_INET, address, six ? (void *)&to6.sin6_addr : (void *)&to4.sin_addr) != 1)
		fail("address");
	if (connect(fd, to, size))
		fail("connect");
	sigaction(SIGTERM, &action, NULL);
	clock_gettime(CLOCK_MONOTONIC, &next);
	for (i = 0; i < count && !over; i++) {
		uint32_t number = i;

		if (send(fd, &number, sizeof(number), 0) != sizeof(number))
			lost++;
		next.tv_nsec += 1000000000L / rate;
		if (next.tv_nsec >= 1000000000L) {
			next.tv_nsec -= 1000000000L;
			next.tv_sec++;
		}
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
	}
	printf("sent %ld, refused %ld\n", i, lost);
}

static void receive_all(int port)
{
	static uint32_t numbers[MAX_COUNT];
	static uint64_t times[MAX_COUNT];
	struct sockaddr_in6 at = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int fd = socket(AF_INET6, SOCK_DGRAM, 0), on = 1, room = 16 << 20;
	struct sigaction action = { .sa_handler = end };
	long count = 0, i;

	if (fd < 0)
		fail("socket");
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	if (setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) || bind(fd, (struct sockaddr *)&at, sizeof(at)))
		fail("bind");
	sigaction(SIGTERM, &action, NULL);
	puts("ready");
	fflush(stdout);
	while (!over && count < MAX_COUNT) {
		char control[128];
		struct iovec part = { .iov_base = &numbers[count], .iov_len = sizeof(numbers[0]) };
		struct msghdr message = {
			.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control),
		};
		struct cmsghdr *c;

		if (recvmsg(fd, &message, 0) != sizeof(numbers[0]))
			continue;
		for (c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
			struct timespec when;

			if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS)
				continue;
			memcpy(&when, CMSG_DATA(c), sizeof(when));
			times[count] = when.tv_sec * 1000000000ULL + when.tv_nsec;
		}
		count++;
	}
	for (i = 0; i < count; i++)
		printf("%u %llu\n", numbers[i], (unsigned long long)times[i]);
	puts("end");
}

int main(int argc, char **argv)
{
	if (argc == 6 && !strcmp(argv[1], "send"))
		send_all(argv[2], atoi(argv[3]), atol(argv[4]), atol(argv[5]));
	else if (argc == 3 && !strcmp(argv[1], "receive"))
		receive_all(atoi(argv[2]));
	else
		return 2;
	return 0;
}
