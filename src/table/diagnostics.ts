/**
 * Diagnostics of a table: one table of stable codes, the shape of a diagnostic, and its rendering in the manner of a
 * compiler. `docs/diagnostics.md` has a row for each code (a test binds them). Codes are never reused.
 */

/** Every code: its severity, a short name, what it means. */
export const DIAGNOSTICS = {
  // the shape of the table
  MW101: { severity: 'error', name: 'unknown-key', meaning: 'a key that the format does not have' },
  MW102: { severity: 'error', name: 'missing-key', meaning: 'a required key is missing' },
  MW103: { severity: 'error', name: 'wrong-type', meaning: 'a value of the wrong type' },
  MW104: { severity: 'error', name: 'unknown-node', meaning: "a locator names a node that is not in 'nodes'" },
  MW105: {
    severity: 'error',
    name: 'unknown-network',
    meaning: "a port or an address names a network that is not in 'networks'",
  },
  MW106: { severity: 'error', name: 'duplicate-id', meaning: 'a node, network, port or address is defined twice' },
  MW107: { severity: 'error', name: 'duplicate-key', meaning: 'the same key stands twice in one mapping' },
  MW108: {
    severity: 'error',
    name: 'bad-id',
    meaning: 'an id is empty, too long or has characters that ids may not have',
  },
  MW109: { severity: 'error', name: 'bad-choice', meaning: 'a word that is not one of the possible ones' },
  MW110: { severity: 'error', name: 'out-of-range', meaning: 'a number outside its range' },
  // addresses
  MW120: { severity: 'error', name: 'bad-mac', meaning: 'text that is no MAC address' },
  MW121: {
    severity: 'error',
    name: 'unusable-mac',
    meaning: 'a MAC address that no port can have: group, broadcast or zero',
  },
  MW122: { severity: 'error', name: 'bad-ip', meaning: 'text that is no IP address' },
  MW123: {
    severity: 'error',
    name: 'unusable-ip',
    meaning: 'an IP address that no port, or no balanced address, can have',
  },
  MW124: { severity: 'error', name: 'bad-prefix', meaning: 'text that is no address prefix' },
  MW125: { severity: 'error', name: 'host-bits', meaning: 'a prefix with bits set after its length' },
  MW126: { severity: 'error', name: 'duplicate-mac', meaning: 'two ports of one network have the same MAC address' },
  MW127: { severity: 'error', name: 'duplicate-ip', meaning: 'two ports of one network have the same IP address' },
  MW128: {
    severity: 'error',
    name: 'underlay-ip',
    meaning: 'a port or a balanced address has the underlay address of a node, which guests must not use',
  },
  MW129: { severity: 'error', name: 'repeated-item', meaning: 'the same item stands twice in one list' },
  MW130: {
    severity: 'error',
    name: 'shared-mac-limit',
    meaning: "more than 4 ports of one network list the same MAC under 'macs'",
  },
  MW131: {
    severity: 'error',
    name: 'ip-network-allow',
    meaning: "a port with 'allow' in a network that carries IP packets without MAC addresses",
  },
  // nodes
  MW140: { severity: 'error', name: 'bad-underlay', meaning: 'an underlay address that cannot be one' },
  MW141: { severity: 'error', name: 'duplicate-underlay', meaning: 'two nodes have the same underlay address' },
  MW142: { severity: 'error', name: 'underlay-family', meaning: 'a node has two underlay addresses of one family' },
  MW143: {
    severity: 'warning',
    name: 'no-common-family',
    meaning: 'two nodes of one network have no address family in common',
  },
  MW144: { severity: 'error', name: 'node-guard', meaning: "'guard' of a node that is not foreign" },
  MW145: { severity: 'error', name: 'bad-probe', meaning: 'an interval or multiplier of a probe that cannot be' },
  MW146: { severity: 'error', name: 'foreign-s-bfd', meaning: 'S-BFD to a node that is foreign' },
  // networks
  MW150: {
    severity: 'error',
    name: 'bad-segment',
    meaning: 'a segmentation id outside the range of the encapsulation',
  },
  MW151: {
    severity: 'error',
    name: 'segment-clash',
    meaning: 'two networks are addressed by the same segment on one node',
  },
  MW152: { severity: 'error', name: 'bad-mtu', meaning: 'an MTU outside 576–65535' },
  MW153: { severity: 'error', name: 'ipv6-mtu', meaning: 'an MTU below 1280 in a network with IPv6 addresses' },
  MW154: {
    severity: 'error',
    name: 'multicast-group',
    meaning: "'flood: multicast' and 'group' do not belong together as written",
  },
  MW155: { severity: 'error', name: 'group-scope', meaning: 'a multicast group that no network can have' },
  MW156: {
    severity: 'error',
    name: 'group-family',
    meaning: "a node of a network has no underlay address of its group's family",
  },
  MW157: { severity: 'error', name: 'flat-multicast', meaning: "'flood: multicast' in a flat network" },
  MW158: {
    severity: 'error',
    name: 'no-tags',
    meaning: "'vlan: transparent' with an encapsulation that carries no tagged frames",
  },
  MW159: {
    severity: 'error',
    name: 'ip-network-unknown',
    meaning: "'unknown: flood' in a network that carries IP packets without MAC addresses",
  },
  // locators
  MW160: { severity: 'error', name: 'no-locator', meaning: 'a port without a locator' },
  MW161: { severity: 'error', name: 'too-many-locators', meaning: 'a port with more than 4 locators' },
  MW162: { severity: 'error', name: 'duplicate-locator', meaning: 'a port names the same node twice' },
  MW163: { severity: 'error', name: 'bad-interface', meaning: 'a name that no network interface can have' },
  MW164: { severity: 'error', name: 'duplicate-interface', meaning: 'two ports use the same interface of one node' },
  MW165: { severity: 'error', name: 'flat-segment', meaning: 'a locator with a segment of its own in a flat network' },
  MW166: { severity: 'error', name: 'empty-view', meaning: "an empty list under 'for' or 'prefer'" },
  MW167: {
    severity: 'error',
    name: 'unknown-view',
    meaning: "'for' or 'prefer' names a node or a region that no node of the table is",
  },
  // reading
  MW170: { severity: 'error', name: 'unreadable', meaning: 'the file cannot be read' },
  MW171: { severity: 'error', name: 'encoding', meaning: 'the file is not plain UTF-8' },
  MW172: { severity: 'error', name: 'syntax', meaning: 'the text is not well-formed YAML or JSON' },
  MW173: { severity: 'error', name: 'empty', meaning: 'there is nothing in the table' },
  MW174: { severity: 'error', name: 'version', meaning: "'mapwire: 1' is missing, or another version" },
  MW175: { severity: 'error', name: 'yaml-feature', meaning: 'a feature of YAML that tables do not use' },
  MW176: { severity: 'error', name: 'too-large', meaning: 'a line, a file or a nesting beyond the limits' },
  MW177: { severity: 'error', name: 'bad-record', meaning: 'an NDJSON record that is none' },
  MW178: { severity: 'error', name: 'unknown-record', meaning: 'a removal of something that is not in the table' },
  MW179: { severity: 'error', name: 'unsafe-file', meaning: 'the file can be changed by others than its owner' },
  // balanced addresses
  MW180: { severity: 'error', name: 'unknown-member', meaning: "an address names a port that is not in 'ports'" },
  MW181: { severity: 'error', name: 'member-network', meaning: 'a member of an address is in another network' },
  MW182: { severity: 'error', name: 'no-members', meaning: 'an address without members' },
  MW183: { severity: 'error', name: 'duplicate-member', meaning: 'an address has the same port twice' },
  MW184: {
    severity: 'error',
    name: 'owned-address',
    meaning: 'a balanced IP address that a port or another address of the network also has',
  },
  MW185: {
    severity: 'error',
    name: 'owned-mac',
    meaning: "a balanced address with the MAC of a port (its own or one of 'macs') or of another address",
  },
  MW186: {
    severity: 'error',
    name: 'ip-network-address',
    meaning: 'a balanced address in a network that carries IP packets without MAC addresses',
  },
  MW187: {
    severity: 'error',
    name: 'member-allow',
    meaning: "a member has the balanced address under 'allow' too",
  },
  MW188: {
    severity: 'error',
    name: 'too-many-members',
    meaning: 'more members, or more priorities of them, than possible',
  },
  MW189: {
    severity: 'error',
    name: 'too-few-slots',
    meaning: 'more members of an address, or weights further apart, than its table of slots serves',
  },
  // MW190 was: part of the format, but not of that version of Mapwire
  // moves
  MW191: { severity: 'error', name: 'move-target', meaning: 'a port moves to a node where it is already' },
  MW192: {
    severity: 'error',
    name: 'unheard-announcement',
    meaning: "'activate: announcement' in a network in which announcements do not reach other nodes",
  },
  MW193: { severity: 'error', name: 'flat-move', meaning: "'move' of a port in a flat network" },
  MW194: {
    severity: 'error',
    name: 'stale-sequence',
    meaning: 'a change that tells of an older move of a port than the one in force',
  },
  MW195: {
    severity: 'error',
    name: 'other-move',
    meaning: "another place in a move's 'to', with the sequence of the move before",
  },
  // the rest
  MW199: { severity: 'error', name: 'more', meaning: 'further mistakes of the file, which are only counted' },
  // legal, and perhaps not meant
  MW201: { severity: 'warning', name: 'never-reachable', meaning: 'all locators of a port have priority 255' },
  MW202: {
    severity: 'warning',
    name: 'allow-everything',
    meaning: 'a prefix of length 0 accepts every source address of its family',
  },
  MW203: { severity: 'warning', name: 'ignored-file', meaning: "a file of the table's directory that is not read" },
  MW204: {
    severity: 'warning',
    name: 'no-ip',
    meaning: 'a port without an IP address in a network that carries IP packets alone',
  },
  MW205: {
    severity: 'warning',
    name: 'group-segment',
    meaning: 'a locator with a segment of its own in a network that floods to a multicast group',
  },
  MW206: {
    severity: 'warning',
    name: 'mtu-too-large',
    meaning: 'the MTU of a network is more than its encapsulation leaves of the MTU of its nodes',
  },
  MW207: {
    severity: 'warning',
    name: 'no-locator-for',
    meaning: "'for' leaves a node that has ports in the network without any locator of a port",
  },
  MW208: {
    severity: 'warning',
    name: 'newer-kept',
    meaning: 'a file tells of an older move of a port than the one in force, which is kept',
  },
  MW209: {
    severity: 'warning',
    name: 'idle-preference',
    meaning: "'prefer' of a locator that is never used, or not by whom it names",
  },
  MW210: {
    severity: 'warning',
    name: 'no-member-up',
    meaning: 'all members of a balanced address are down, or their ports are',
  },
  // MW211 was: weights too far apart, before the number of slots stood still (MW189)
} as const satisfies Record<string, { severity: Severity; name: string; meaning: string }>;

export type Severity = 'error' | 'warning';
export type DiagnosticCode = keyof typeof DIAGNOSTICS;

/** A place in a file. Lines and columns count from 1, columns in characters; line 0 means the file as a whole. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

export interface RelatedPlace extends Place {
  readonly message: string;
}

export interface Diagnostic extends Place {
  readonly code: DiagnosticCode;
  readonly severity: Severity;
  readonly message: string;
  /** Characters that the caret line underlines. */
  readonly length?: number;
  /** What to do about it. */
  readonly hint?: string;
  readonly related?: readonly RelatedPlace[];
  /** The line it is about, shortened around the column when it is long. */
  readonly excerpt?: Excerpt;
}

export interface Excerpt {
  readonly text: string;
  /** Column inside `text`, from 1. */
  readonly column: number;
}

/** `table.yaml:12:9`, without what is not known. */
export function formatPlace(place: Place): string {
  if (place.line === 0) return place.file;
  return `${place.file}:${place.line}:${place.column}`;
}

const EXCERPT_WIDTH = 160;

/** The part of a line around a column (from 1, in characters) that fits a terminal. */
export function excerptOf(line: string, column: number): Excerpt {
  const printable = line.replace(
    /[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]/g,
    '\ufffd',
  );
  const characters = Array.from(printable);
  if (characters.length <= EXCERPT_WIDTH) return { text: printable, column };
  const start = Math.max(0, Math.min(column - 1 - EXCERPT_WIDTH / 4, characters.length - EXCERPT_WIDTH));
  const first = Math.floor(start);
  const text = characters.slice(first, first + EXCERPT_WIDTH).join('');
  const cut = first > 0 ? '…' : '';
  return {
    text: `${cut}${text}${first + EXCERPT_WIDTH < characters.length ? '…' : ''}`,
    column: column - first + cut.length,
  };
}

/** One diagnostic as text, several lines, without a newline at the end. */
export function renderDiagnostic(diagnostic: Diagnostic): string {
  const lines = [`${formatPlace(diagnostic)}: ${diagnostic.severity} ${diagnostic.code}: ${diagnostic.message}`];
  const { excerpt } = diagnostic;
  if (excerpt !== undefined) {
    const characters = Array.from(excerpt.text);
    // Tabs stay tabs, so that the caret stands under its character whatever the terminal makes of them.
    const indent = characters
      .slice(0, excerpt.column - 1)
      .map((c) => (c === '\t' ? '\t' : ' '))
      .join('');
    const room = Math.max(1, characters.length - excerpt.column + 1);
    const tail = '~'.repeat(Math.max(0, Math.min(diagnostic.length ?? 1, room) - 1));
    const number = String(diagnostic.line);
    const margin = ' '.repeat(number.length);
    lines.push(` ${number} | ${excerpt.text}`, ` ${margin} | ${indent}^${tail}`);
  }
  for (const place of diagnostic.related ?? []) lines.push(`  ${formatPlace(place)}: ${place.message}`);
  if (diagnostic.hint !== undefined) lines.push(`  hint: ${diagnostic.hint}`);
  return lines.join('\n');
}

/** All diagnostics, each as by `renderDiagnostic`, and a closing count. Empty when there are none. */
export function renderDiagnostics(diagnostics: readonly Diagnostic[]): string {
  if (diagnostics.length === 0) return '';
  const errors = diagnostics.filter((d) => d.severity === 'error').length;
  const warnings = diagnostics.length - errors;
  const counts = [errors > 0 ? count(errors, 'error') : '', warnings > 0 ? count(warnings, 'warning') : ''];
  return `${diagnostics.map(renderDiagnostic).join('\n')}\n${counts.filter((c) => c !== '').join(', ')}\n`;
}

function count(n: number, word: string): string {
  return `${n} ${word}${n === 1 ? '' : 's'}`;
}

export function hasErrors(diagnostics: readonly Diagnostic[]): boolean {
  return diagnostics.some((d) => d.severity === 'error');
}

/** Text of the table inside a message: quoted, control characters escaped, shortened. */
export function quote(text: string): string {
  const short = text.length > 64 ? `${text.slice(0, 61)}…` : text;
  const safe = short.replace(
    /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]/gu,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return `'${safe}'`;
}
