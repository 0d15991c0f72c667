/** Who is who in the measured networks: one local port, any number of endpoints behind a few other nodes. */

/** Of the host that is measured. */
export const HOST = { id: 'here', address: '192.0.2.1', mac: '02:fe:00:00:00:01' } as const;
/** Of everything behind the wire. */
export const WIRE_MAC = '02:fe:00:00:00:02';
export const SEGMENT = 5001;
export const LOCAL = { id: 'local', mac: '02:00:00:00:00:01', address: '172.16.0.1' } as const;

/** The last byte of the first node's address. */
export const FIRST_NODE = 10;
const MOST_NODES = 16;

export function nodesOf(endpoints: number): number {
  return Math.min(endpoints, MOST_NODES);
}

export function nodeAddress(node: number): string {
  return `192.0.2.${FIRST_NODE + node}`;
}

/** The endpoint's number is the last three bytes of its MAC … */
export function endpointMac(endpoint: number): string {
  const hex = endpoint.toString(16).padStart(6, '0');
  return `02:01:00:${hex.slice(0, 2)}:${hex.slice(2, 4)}:${hex.slice(4)}`;
}

/** … and of its address. */
export function endpointAddress(endpoint: number): string {
  return `10.${endpoint >> 16}.${(endpoint >> 8) & 255}.${endpoint & 255}`;
}

/** A UUID, as port ids of clouds are. */
export function endpointId(endpoint: number): string {
  const hex = endpoint.toString(16).padStart(12, '0');
  return `6d617077-6972-4e00-8000-${hex}`;
}
