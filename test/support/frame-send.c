/*
 * Sends Ethernet frames through a packet socket: frame-send DEVICE COUNT RATE OFFSET
 *
 * Reads frames as lines of hex from standard input and sends them in turn, COUNT in all, RATE a second (0: as fast as it goes).
 * OFFSET > 0 is where the number of the frame is written, 32 bits in network order. Prints how many were sent.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_FRAMES 64
#define MAX_LENGTH 9100

static unsigned char frames[MAX_FRAMES][MAX_LENGTH];
static size_t lengths[MAX_FRAMES];

static size_t read_frames(void)
{
	char line[2 * MAX_LENGTH + 2];
	size_t count = 0;

	while (count < MAX_FRAMES && fgets(line, sizeof(line), stdin)) {
		size_t length = 0;
		unsigned int byte;

		while (length < MAX_LENGTH && sscanf(line + 2 * length, "%2x", &byte) == 1)
			frames[count][length++] = byte;
		if (length)
			lengths[count++] = length;
	}
	return count;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	if (argc != 5) {
		fprintf(stderr, "usage: frame-send DEVICE COUNT RATE OFFSET\n");
		return 2;
	}
	unsigned int count = strtoul(argv[2], NULL, 10), rate = strtoul(argv[3], NULL, 10), offset = strtoul(argv[4], NULL, 10);
	size_t kinds = read_frames();
	int fd = socket(AF_PACKET, SOCK_RAW, 0);
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET,
		.sll_ifindex = if_nametoindex(argv[1]),
	};

	if (fd < 0 || !to.sll_ifindex || !kinds || bind(fd, (struct sockaddr *)&to, sizeof(to))) {
		perror("frame-send");
		return 1;
	}
	double start = now();
	unsigned int sent = 0;

	for (unsigned int i = 0; i < count; i++) {
		unsigned char *frame = frames[i % kinds];
		size_t length = lengths[i % kinds];

		if (offset && offset + 4 <= length) {
			unsigned int number = htonl(i);

			memcpy(frame + offset, &number, 4);
		}
		while (rate && now() < start + (double)i / rate)
			usleep(200);
		while (send(fd, frame, length, 0) < 0) {
			if (errno != ENOBUFS && errno != EAGAIN) {
				perror("send");
				return 1;
			}
			usleep(50);
		}
		sent++;
	}
	printf("sent %u in %.3f s\n", sent, now() - start);
	return 0;
}
