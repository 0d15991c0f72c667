import { AttributeMap, encodeAttributes, flag, readAttributes, text, u32 } from './attributes.ts';
import { GENERIC_HEADER, genericHeader, genericMessage } from './generic.ts';
import type { NetlinkSocket } from './socket.ts';

/** Offload features of a device (generic netlink family `ethtool`, kernel 5.7; Documentation/networking/ethtool-netlink.rst). */

const ETHTOOL_MSG_FEATURES_GET = 11;
const ETHTOOL_MSG_FEATURES_SET = 12;
const ETHTOOL_MSG_FEATURES_SET_REPLY = 12;
const ETHTOOL_A_FEATURES_HEADER = 1;
const ETHTOOL_A_FEATURES_HW = 2;
const ETHTOOL_A_FEATURES_WANTED = 3;
const ETHTOOL_A_FEATURES_ACTIVE = 4;
const ETHTOOL_A_FEATURES_NOCHANGE = 5;
const ETHTOOL_A_HEADER_DEV_INDEX = 1;
const ETHTOOL_A_BITSET_NOMASK = 1;
const ETHTOOL_A_BITSET_BITS = 3;
const ETHTOOL_A_BITSET_BITS_BIT = 1;
const ETHTOOL_A_BITSET_BIT_NAME = 2;
const ETHTOOL_A_BITSET_BIT_VALUE = 3;

export interface Offloads {
  /** Names as `ethtool -k --json` and the kernel have them, e.g. `rx-gro`, `tx-checksum-ip-generic`. */
  readonly active: ReadonlySet<string>;
  readonly wanted: ReadonlySet<string>;
  /** Can be switched on this device; the others are fixed. */
  readonly changeable: ReadonlySet<string>;
}

function bitset(bytes: Uint8Array | undefined): Set<string> {
  const names = new Set<string>();
  const bits = bytes === undefined ? undefined : new AttributeMap(bytes).bytes(ETHTOOL_A_BITSET_BITS);
  if (bits === undefined) return names;
  const nomask = new AttributeMap(bytes!).has(ETHTOOL_A_BITSET_NOMASK);
  for (const [type, bit] of readAttributes(bits)) {
    if (type !== ETHTOOL_A_BITSET_BITS_BIT) continue;
    const attributes = new AttributeMap(bit);
    const name = attributes.text(ETHTOOL_A_BITSET_BIT_NAME);
    // Without a mask the list is of the bits that are set; with one each bit says it.
    if (name !== undefined && (nomask || attributes.has(ETHTOOL_A_BITSET_BIT_VALUE))) names.add(name);
  }
  return names;
}

function header(ifindex: number): readonly [number, readonly (readonly [number, Uint8Array])[]] {
  return [ETHTOOL_A_FEATURES_HEADER, [[ETHTOOL_A_HEADER_DEV_INDEX, u32(ifindex)]]];
}

export async function getOffloads(socket: NetlinkSocket, family: number, ifindex: number): Promise<Offloads> {
  const [message] = await socket.request(
    `offloads of device ${ifindex}`,
    family,
    0,
    genericHeader(ETHTOOL_MSG_FEATURES_GET),
    encodeAttributes([header(ifindex)]),
  );
  const { attributes } = genericMessage(message!);
  const never = bitset(attributes.bytes(ETHTOOL_A_FEATURES_NOCHANGE));
  return {
    active: bitset(attributes.bytes(ETHTOOL_A_FEATURES_ACTIVE)),
    wanted: bitset(attributes.bytes(ETHTOOL_A_FEATURES_WANTED)),
    changeable: new Set([...bitset(attributes.bytes(ETHTOOL_A_FEATURES_HW))].filter((name) => !never.has(name))),
  };
}

/**
 * Switches offloads by name.
 *
 * @returns those that did not become what was wanted: fixed, or dependent on another
 */
export async function setOffloads(
  socket: NetlinkSocket,
  family: number,
  ifindex: number,
  wanted: Readonly<Record<string, boolean>>,
): Promise<string[]> {
  const bits = Object.entries(wanted).map(
    ([name, value]) =>
      [
        ETHTOOL_A_BITSET_BITS_BIT,
        [[ETHTOOL_A_BITSET_BIT_NAME, text(name)], ...(value ? ([[ETHTOOL_A_BITSET_BIT_VALUE, flag]] as const) : [])],
      ] as const,
  );
  const messages = await socket.request(
    `set offloads of device ${ifindex}`,
    family,
    0,
    genericHeader(ETHTOOL_MSG_FEATURES_SET),
    encodeAttributes([header(ifindex), [ETHTOOL_A_FEATURES_WANTED, [[ETHTOOL_A_BITSET_BITS, bits]]]]),
  );
  const reply = messages.find(({ payload }) => payload[0] === ETHTOOL_MSG_FEATURES_SET_REPLY);
  if (reply === undefined) return [];
  // The reply's WANTED: bits whose outcome differs from the request (all bits in it, value = what was requested).
  const refused = new AttributeMap(reply.payload.subarray(GENERIC_HEADER)).bytes(ETHTOOL_A_FEATURES_WANTED);
  const list = refused === undefined ? undefined : new AttributeMap(refused).bytes(ETHTOOL_A_BITSET_BITS);
  if (list === undefined) return [];
  return [...readAttributes(list)]
    .map(([, bit]) => new AttributeMap(bit).text(ETHTOOL_A_BITSET_BIT_NAME))
    .filter((name) => name !== undefined);
}
