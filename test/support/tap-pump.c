// SPDX-License-Identifier: Apache-2.0
/*
 * A guest behind a tap, as a virtual machine is: frames with their virtio_net header go back and forth between a tap in
 * the host's namespace and a tap in the guest's, so that unfinished checksums and super-packets cross as they do with
 * vhost. Usage: tap-pump HOST-NETNS HOST-TAP GUEST-NETNS GUEST-TAP; prints "ready", ends on a signal or when a tap goes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static void die(const char *what)
{
	fprintf(stderr, "tap-pump: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int open_tap(const char *netns, const char *name)
{
	char path[256];
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int header = sizeof(struct virtio_net_hdr_v1);
	int space, tap;

	snprintf(path, sizeof(path), "/run/netns/%s", netns);
	space = open(path, O_RDONLY | O_CLOEXEC);
	if (space < 0)
		die(path);
	if (setns(space, CLONE_NEWNET))
		die("setns");
	close(space);
	tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (tap < 0)
		die("/dev/net/tun");
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (ioctl(tap, TUNSETIFF, &request))
		die("TUNSETIFF");
	if (ioctl(tap, TUNSETVNETHDRSZ, &header))
		die("TUNSETVNETHDRSZ");
	if (ioctl(tap, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6))
		die("TUNSETOFFLOAD");
	return tap;
}

/* Moves what is there. A tap that is down or full refuses a frame: it is lost, as on a wire. */
static void move(int from, int to)
{
	static char frame[sizeof(struct virtio_net_hdr_v1) + 65536 + 64];

	for (int i = 0; i < 64; i++) {
		ssize_t size = read(from, frame, sizeof(frame));

		if (size < 0) {
			if (errno != EAGAIN && errno != EIO)
				die("read");
			return;
		}
		if (write(to, frame, size) < 0 && errno != EAGAIN && errno != EIO && errno != EINVAL && errno != ENOBUFS)
			die("write");
	}
}

int main(int argc, char **argv)
{
	struct pollfd taps[2];

	if (argc != 5) {
		fprintf(stderr, "usage: tap-pump HOST-NETNS HOST-TAP GUEST-NETNS GUEST-TAP\n");
		return 2;
	}
	for (int i = 0; i < 2; i++) {
		taps[i].fd = open_tap(argv[1 + 2 * i], argv[2 + 2 * i]);
		taps[i].events = POLLIN;
	}
	puts("ready");
	fflush(stdout);
	for (;;) {
		if (poll(taps, 2, -1) < 0 && errno != EINTR)
			die("poll");
		for (int i = 0; i < 2; i++) {
			if (taps[i].revents & (POLLHUP | POLLNVAL))
				return 0;
			if (taps[i].revents & (POLLIN | POLLERR))
				move(taps[i].fd, taps[1 - i].fd);
		}
	}
}
