// SPDX-License-Identifier: Apache-2.0
/*
 * Super-packets of UDP, as QUIC servers send them (UDP_SEGMENT, Linux 4.18): udp-gso ADDRESS PORT SIZE SEGMENTS COUNT. Each datagram
 * that comes out of one is a number of 8 digits, counted from 0, filled up with 'x' to SIZE bytes.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#define SOL_UDP_LEVEL 17

int main(int argc, char **argv)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6 };
	struct sockaddr_in four = { .sin_family = AF_INET };
	static char data[65536];
	struct sockaddr *to;
	socklen_t length;
	int fd, size, segments, count, number = 0;

	if (argc != 6)
		return 2;
	size = atoi(argv[3]);
	segments = atoi(argv[4]);
	count = atoi(argv[5]);
	if (size < 9 || segments < 1 || size * segments > 65000)
		return 2;
	if (inet_pton(AF_INET, argv[1], &four.sin_addr) == 1) {
		four.sin_port = htons(atoi(argv[2]));
		to = (struct sockaddr *)&four;
		length = sizeof(four);
	} else if (inet_pton(AF_INET6, argv[1], &six.sin6_addr) == 1) {
		six.sin6_port = htons(atoi(argv[2]));
		to = (struct sockaddr *)&six;
		length = sizeof(six);
	} else {
		return 2;
	}
	fd = socket(to->sa_family, SOCK_DGRAM, 0);
	if (fd < 0 || setsockopt(fd, SOL_UDP_LEVEL, UDP_SEGMENT, &size, sizeof(size)) < 0) {
		perror("UDP_SEGMENT");
		return 1;
	}
	for (int i = 0; i < count; i++) {
		for (int k = 0; k < segments; k++) {
			memset(data + k * size, 'x', size);
			char text[16];

			snprintf(text, sizeof(text), "%08d", number++);
			memcpy(data + k * size, text, 8);
		}
		if (sendto(fd, data, size * segments, 0, to, length) != size * segments) {
			perror("sendto");
			return 1;
		}
		usleep(2000);
	}
	printf("sent %d\n", number);
	return 0;
}
